"""Reading what passes inside a network, while it runs, without changing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from finetune.features.pooling import ROW, pool

HEAD = "head"
"""The name under which the head's input stands beside the stages."""


@contextmanager
def tap(net: nn.Module, head: str, stages: Sequence[str], size: Sequence[int]) -> Iterator[dict[str, Tensor]]:
    """Inside the block, each pass fills the dictionary: stage -> (N, C), HEAD -> the head's input (N, F).

    `size` is the (height, width) of the network's input. Averages are taken at once, so that no map stays in
    memory and nothing that later works in place reaches them.
    """
    caught: dict[str, Tensor] = {}

    def stage_hook(stage: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            caught[stage] = pool(_first(output), size)

        return hook

    def head_hook(module: nn.Module, inputs: object) -> None:
        given = _first(inputs)
        caught[HEAD] = given.float() if given.ndim == ROW else pool(given, size)

    with ExitStack() as stack:
        for stage in stages:
            stack.enter_context(net.get_submodule(stage).register_forward_hook(stage_hook(stage)))
        stack.enter_context(net.get_submodule(head).register_forward_pre_hook(head_hook))
        yield caught


def stage_norms(net: nn.Module, stages: Sequence[str]) -> dict[str, nn.Module]:
    """The last batch norm inside each stage that has one with stored statistics."""
    found = {}
    for stage in stages:
        for module in net.get_submodule(stage).modules():
            if getattr(module, "running_mean", None) is not None:
                found[stage] = module
    return found


@contextmanager
def tap_norms(norms: dict[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Inside the block, each pass fills the dictionary: stage -> (N, 2, C), mean and mean square of what its
    norm is given, over the places of each image."""
    caught: dict[str, Tensor] = {}

    def norm_hook(stage: str) -> Callable[[nn.Module, object], None]:
        def hook(module: nn.Module, inputs: object) -> None:
            given = _first(inputs)
            places = given.movedim(1, -1).flatten(1, -2) if given.ndim > ROW else given.unsqueeze(1)
            values = places.float()  # (N, places, C): as it lies in memory, where channels come last
            caught[stage] = torch.stack([values.mean(1), values.square().mean(1)], 1)

        return hook

    with ExitStack() as stack:
        for stage, norm in norms.items():
            stack.enter_context(norm.register_forward_pre_hook(norm_hook(stage)))
        yield caught


def _first(value: object) -> Tensor:
    """The tensor, or the first of a tuple: some stages also give masks or sizes."""
    while isinstance(value, (tuple, list)):
        value = value[0]
    assert isinstance(value, Tensor), f"a stage gives a tensor; found {type(value).__name__}"
    return value
