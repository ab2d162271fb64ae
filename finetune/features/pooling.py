"""The average over places of what a stage gives out, whichever way its dimensions lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MAP, TOKENS, ROW = 4, 3, 2  # dimensions of a feature map, of a row of tokens, of a vector an image


def pool(output: Tensor, size: Sequence[int]) -> Tensor:
    """Average over places, in float32.

    In: (N, C, H, W), (N, H, W, C) as Swin's stages give it, (N, T, C) of T tokens, or (N, C) as it is;
    `size` is the (height, width) of the network's input. Out: (N, C).
    """
    if output.ndim == MAP:
        places = (2, 3) if channels_first(output.shape[1:], size) else (1, 2)
        return output.mean(places, dtype=torch.float32)
    if output.ndim == TOKENS:
        return output.mean(1, dtype=torch.float32)
    if output.ndim == ROW:
        return output.float()
    raise ValueError(f"a stage gives maps, tokens or vectors; found the shape {tuple(output.shape)}")


def channels_first(shape: Sequence[int], size: Sequence[int]) -> bool:
    """Whether (a, b, c) reads as (C, H, W) rather than (H, W, C).

    A map keeps the proportions of the input: the two dimensions whose ratio is nearest to it are its
    height and width. A cube leaves both readings open and counts as (C, H, W), by far the commoner.
    """
    proportion = math.log(size[0] / size[1])
    first, last = (abs(math.log(high / wide) - proportion) for high, wide in (shape[1:], shape[:2]))
    return first <= last
