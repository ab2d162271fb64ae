"""Shortcuts past a residual block. Source: He et al. 2015, arXiv:1512.03385, section 3.3."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.layers.shape import Positive, Shape, ShapeError, channels_of
from zoo.registry import Call, layer


class Subsample(nn.Module):
    """Every `stride`-th pixel, and `more` channels of zeros after the others."""

    def __init__(self, stride: int, more: int) -> None:
        super().__init__()
        self.stride = stride
        self.more = more

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, more={self.more}"


@layer
def identity(x: Shape) -> nn.Module:
    """Give the input unchanged."""
    return nn.Identity()


@layer
def projection(x: Shape, *, out: Positive, stride: Positive = 1) -> nn.Module | list[Call]:
    """Bring the input to (out, H / stride, W / stride): as it is where that fits, else by 1x1 conv and norm.

    Option B of the paper.
    """
    if channels_of(x) == out and stride == 1:
        return nn.Identity()
    return [Call("conv", {"out": out, "kernel": 1, "stride": stride, "bias": False}), Call("norm", {})]


@layer
def pad_shortcut(x: Shape, *, out: Positive, stride: Positive = 1) -> nn.Module:
    """Bring the input to (out, H / stride, W / stride) by leaving pixels out and adding channels of zeros.

    Option A of the paper: no parameters.
    """
    more = out - channels_of(x)
    if more < 0:
        raise ShapeError(f"can add channels, not leave them out: {x[0]} in, {out} out")
    return nn.Identity() if stride == 1 and not more else Subsample(stride, more)
