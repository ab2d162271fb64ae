"""Pooling. Without `stride` windows do not overlap; with a stride smaller than the kernel they do."""

from __future__ import annotations

from torch import nn

from zoo.layers.shape import Padding, Positive, Shape, ShapeError, Size, channels_of, in_words, pair
from zoo.registry import layer


@layer
def max_pool(
    x: Shape,
    *,
    kernel: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Positive = 1,
    ceil_mode: bool = False,
) -> nn.Module:
    """Take each window's largest: (C, H, W) to (C, H', W'); `ceil_mode` keeps windows that the edge cuts."""
    _fits(x, kernel, padding)
    return nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)


@layer
def avg_pool(
    x: Shape,
    *,
    kernel: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> nn.Module:
    """Average each window: (C, H, W) to (C, H', W')."""
    _fits(x, kernel, padding)
    return nn.AvgPool2d(kernel, stride, padding, ceil_mode, count_include_pad)


@layer
def adaptive_avg_pool(x: Shape, *, size: Size) -> nn.Module:
    """Average to a fixed size: (C, H, W) to (C, size, size)."""
    channels_of(x)
    return nn.AdaptiveAvgPool2d(pair(size))


@layer
def adaptive_max_pool(x: Shape, *, size: Size) -> nn.Module:
    """Take the largest to a fixed size: (C, H, W) to (C, size, size)."""
    channels_of(x)
    return nn.AdaptiveMaxPool2d(pair(size))


def _fits(x: Shape, kernel: Size, padding: Padding) -> None:
    channels_of(x)
    for size, extent, margin in zip(x[1:], pair(kernel), pair(padding), strict=True):
        if extent > size + 2 * margin:
            raise ShapeError(f"a window of {extent} is larger than its padded input, {in_words(x)}")
        if 2 * margin > extent:
            raise ShapeError(f"padding {margin} is more than half of the window of {extent}")
