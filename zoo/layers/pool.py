"""Pooling. Without `stride`, windows do not overlap; with a stride smaller than the kernel, they do."""

from __future__ import annotations

from zoo.layers.shape import Layer, Padding, Positive, Shape, ShapeError, Size, channels_of, pair, windowed
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
) -> Layer:
    """Maximum of each window: (C, H, W) to (C, H', W'); `ceil_mode` keeps windows that cross the edge."""
    _check_padding(kernel, padding)
    sides = windowed(x, kernel, stride or kernel, padding, dilation, ceil=ceil_mode)
    return Layer(
        (x[0], *sides), lambda m: m.nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    )


@layer
def avg_pool(
    x: Shape,
    *,
    kernel: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Layer:
    """Average of each window: (C, H, W) to (C, H', W')."""
    _check_padding(kernel, padding)
    sides = windowed(x, kernel, stride or kernel, padding, 1, ceil=ceil_mode)
    return Layer(
        (x[0], *sides), lambda m: m.nn.AvgPool2d(kernel, stride, padding, ceil_mode, count_include_pad)
    )


@layer
def adaptive_avg_pool(x: Shape, *, size: Size) -> Layer:
    """Average to a fixed size: (C, H, W) to (C, size, size)."""
    return Layer((channels_of(x), *pair(size)), lambda m: m.nn.AdaptiveAvgPool2d(pair(size)))


@layer
def adaptive_max_pool(x: Shape, *, size: Size) -> Layer:
    """Maximum to a fixed size: (C, H, W) to (C, size, size)."""
    return Layer((channels_of(x), *pair(size)), lambda m: m.nn.AdaptiveMaxPool2d(pair(size)))


def _check_padding(kernel: Size, padding: Padding) -> None:
    for extent, margin in zip(pair(kernel), pair(padding), strict=True):
        if 2 * margin > extent:
            raise ShapeError(f"padding {margin} is more than half of kernel {extent}")
