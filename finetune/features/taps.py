"""Taps: reading the outputs of stages while a network runs, without changing it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

HEAD = "head"
"""The name of the head's input beside the stages."""
MAP, TOKENS, ROW = 4, 3, 2  # dimensions of a feature map, of tokens, of a vector per image


@contextmanager
def tap(net: nn.Module, head: str, stages: Sequence[str], size: Sequence[int]) -> Iterator[dict[str, Tensor]]:
    """Let each pass inside the block fill a dictionary: stage -> (N, C), HEAD -> the head's input (N, F).

    `size` is the (height, width) of the network's input. Averages are taken at once, so that no feature map
    stays in memory and no later in-place operation changes them.
    """
    caught: dict[str, Tensor] = {}

    def catch(name: str, module: nn.Module, inputs: object, output: object = None) -> None:
        caught[name] = average(first_tensor(inputs if name == HEAD else output), size)

    with ExitStack() as stack:
        for stage in stages:
            stack.enter_context(net.get_submodule(stage).register_forward_hook(partial(catch, stage)))
        stack.enter_context(net.get_submodule(head).register_forward_pre_hook(partial(catch, HEAD)))
        yield caught


def average(output: Tensor, size: Sequence[int]) -> Tensor:
    """Average a stage's output over its positions, in float32.

    In: (N, C, H, W); (N, H, W, C), as Swin's stages have it; (N, T, C) for T tokens; or (N, C), which is
    returned as it is. `size` is the (height, width) of the network's input. Out: (N, C).
    """
    if output.ndim == MAP:
        places = (2, 3) if channels_first(output.shape[1:], size) else (1, 2)
        return output.mean(places, dtype=torch.float32)
    if output.ndim == TOKENS:
        return output.mean(1, dtype=torch.float32)
    if output.ndim == ROW:
        return output.float()
    raise ValueError(
        f"the output of a stage is a map, tokens or vectors; found the shape {tuple(output.shape)}"
    )


def channels_first(shape: Sequence[int], size: Sequence[int]) -> bool:
    """Return whether (a, b, c) is (C, H, W) rather than (H, W, C).

    A map keeps the proportions of the input: its height and width are the two dimensions whose ratio is
    nearest to it. A cube could be either and counts as (C, H, W), which is far more common.
    """
    proportion = math.log(size[0] / size[1])
    first, last = (abs(math.log(high / wide) - proportion) for high, wide in (shape[1:], shape[:2]))
    return first <= last


def stage_norms(net: nn.Module, stages: Sequence[str]) -> dict[str, nn.Module]:
    """Return the last batch norm with stored statistics inside each stage that has one."""
    found = {}
    for stage in stages:
        for module in net.get_submodule(stage).modules():
            if getattr(module, "running_mean", None) is not None:
                found[stage] = module
    return found


@contextmanager
def tap_norms(norms: dict[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Let each pass inside the block fill a dictionary: stage -> (N, 2, C).

    These are the mean and the mean square of the norm's input, over the positions of each image.
    """
    caught: dict[str, Tensor] = {}

    def catch(stage: str, module: nn.Module, inputs: object) -> None:
        given = first_tensor(inputs)
        places = given.movedim(1, -1).flatten(1, -2) if given.ndim > ROW else given.unsqueeze(1)
        values = places.float()  # (N, places, C): its layout in memory where channels come last
        caught[stage] = torch.stack([values.mean(1), values.square().mean(1)], 1)

    with ExitStack() as stack:
        for stage, norm in norms.items():
            stack.enter_context(norm.register_forward_pre_hook(partial(catch, stage)))
        yield caught


def first_tensor(value: object) -> Tensor:
    """Return the tensor, or the first of a tuple: some stages also return masks or sizes."""
    while isinstance(value, (tuple, list)):
        value = value[0]
    assert isinstance(value, Tensor), f"a stage returns a tensor; found {type(value).__name__}"
    return value
