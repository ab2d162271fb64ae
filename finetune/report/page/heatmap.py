"""Which parts of an image decided for an answer: Grad-CAM on the deepest stage whose map is not too coarse.

The package grad-cam does the same and more, but brings OpenCV, which is larger than all that this page needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finetune.features.taps import MAP, channels_first
from finetune.monitor.pictures import find_holder

LEAST_SIDE = 4
"""Cells of a map's shorter side from which on it shows where something is."""


def draw_heat(
    net: nn.Module, images: Tensor, answers: Sequence[int], stages: Sequence[str]
) -> list[NDArray[np.float32]] | None:
    """Return for each image a map (h, w), from 0 to 1, of what speaks for that class.

    In: normalised images (N, C, H, W), the class of each, and the paths of the network's stages. Out: None
    for a network without stages that give maps.
    Source: Selvaraju et al. 2017, Grad-CAM, arXiv:1610.02391.
    """
    inner, maps = find_holder(net, stages), dict[str, Tensor]()
    if inner is None:
        return None
    with ExitStack() as stack, torch.enable_grad():
        for stage in stages:

            def keep(_module: nn.Module, _given: object, output: object, stage: str = stage) -> object:
                if isinstance(output, Tensor) and output.ndim == MAP and stage not in maps:
                    maps[stage] = output
                    return output.clone()  # later layers may change theirs in place
                return output

            stack.enter_context(inner.get_submodule(stage).register_forward_hook(keep))
        logits = net(images.clone().requires_grad_())
    if not maps:
        return None
    scores = logits[torch.arange(len(images)), torch.tensor(answers)].sum()
    slopes = torch.autograd.grad(scores, list(maps.values()), allow_unused=True)
    # a stage probe may not use the stages above those that it reads
    used = [(one, slope) for one, slope in zip(maps.values(), slopes, strict=True) if slope is not None]
    chosen = choose_map([one for one, _ in used], images.shape[2:])
    if chosen is None:
        return None
    slope = next(slope for one, slope in used if one is chosen)
    if not channels_first(chosen.shape[1:], images.shape[2:]):
        chosen, slope = chosen.permute(0, 3, 1, 2), slope.permute(0, 3, 1, 2)
    heat = (slope.mean((2, 3), keepdim=True) * chosen).sum(1).relu().detach()
    heat = heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-12)
    return [one.numpy() for one in heat.float()]


def choose_map(maps: Sequence[Tensor], size: Sequence[int]) -> Tensor | None:
    """Return the deepest map with LEAST_SIDE cells or more, or the finest one."""
    if not maps:
        return None

    def side(one: Tensor) -> int:
        first = channels_first(one.shape[1:], size)
        return min(one.shape[2:] if first else one.shape[1:3])

    fine = [one for one in maps if side(one) >= LEAST_SIDE]
    return fine[-1] if fine else max(maps, key=side)
