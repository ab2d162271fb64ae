"""Convolutions. Input channels follow from the layer before."""

from __future__ import annotations

from math import prod

from zoo.layers.shape import (
    ConvPadding,
    Layer,
    Padding,
    Positive,
    Shape,
    ShapeError,
    Size,
    channels_of,
    pair,
    windowed,
)
from zoo.registry import layer


@layer
def conv(
    x: Shape,
    *,
    out: Positive,
    kernel: Size,
    stride: Size = 1,
    padding: ConvPadding = 0,
    dilation: Size = 1,
    groups: Positive = 1,
    bias: bool = True,
) -> Layer:
    """Convolve: (C, H, W) to (out, H', W'), H' = (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1.

    With the padding `same`, H' = H / stride, rounded up, as in TensorFlow.
    """
    channels = channels_of(x)
    _check_groups(groups, channels, out)
    sides, margin = _window(x, kernel, stride, padding, dilation)
    return Layer(
        (out, *sides),
        lambda m: (m.SameConv2d if margin is None else m.nn.Conv2d)(
            channels, out, kernel, stride, margin or 0, dilation, groups, bias
        ),
        (prod(pair(kernel)) * channels // groups + bias) * out,
    )


@layer
def depthwise_conv(
    x: Shape,
    *,
    kernel: Size,
    stride: Size = 1,
    padding: ConvPadding = 0,
    dilation: Size = 1,
    multiplier: Positive = 1,
    bias: bool = True,
) -> Layer:
    """Convolve every channel by itself: (C, H, W) to (C multiplier, H', W'), of the sizes of `conv`."""
    channels = channels_of(x)
    sides, margin = _window(x, kernel, stride, padding, dilation)
    return Layer(
        (channels * multiplier, *sides),
        lambda m: (m.SameConv2d if margin is None else m.nn.Conv2d)(
            channels, channels * multiplier, kernel, stride, margin or 0, dilation, channels, bias
        ),
        (prod(pair(kernel)) + bias) * channels * multiplier,
    )


@layer
def conv_transpose(
    x: Shape,
    *,
    out: Positive,
    kernel: Size,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Padding = 0,
    dilation: Size = 1,
    groups: Positive = 1,
    bias: bool = True,
) -> Layer:
    """Convolve at stride 1/stride: (C, H, W) to (out, H', W'), H' = (H - 1) stride - 2 padding + kernel."""
    channels = channels_of(x)
    _check_groups(groups, channels, out)
    sides = []
    for size, extent, step, margin, extra, spread in zip(
        x[1:], *map(pair, (kernel, stride, padding, output_padding, dilation)), strict=True
    ):
        if extra >= max(step, spread):
            raise ShapeError(f"output_padding {extra} must be smaller than stride or dilation")
        sides.append((size - 1) * step - 2 * margin + spread * (extent - 1) + extra + 1)
    return Layer(
        (out, *sides),
        lambda m: m.nn.ConvTranspose2d(
            channels, out, kernel, stride, padding, output_padding, groups, bias, dilation
        ),
        prod(pair(kernel)) * channels * out // groups + bias * out,
    )


def _window(
    x: Shape, kernel: Size, stride: Size, padding: ConvPadding, dilation: Size
) -> tuple[tuple[int, int], Padding | None]:
    """Return the output's height and width, and the padding; None for "same" with more on one side."""
    if padding != "same":
        return windowed(x, kernel, stride, padding, dilation), padding
    channels_of(x)
    (tall, wide), (down, right) = pair(kernel), pair(stride)
    reach = (pair(dilation)[0] * (tall - 1), pair(dilation)[1] * (wide - 1))
    is_even = (down, right) == (1, 1) and not (reach[0] % 2 or reach[1] % 2)
    return (-(-x[1] // down), -(-x[2] // right)), (reach[0] // 2, reach[1] // 2) if is_even else None


def _check_groups(groups: int, channels: int, out: int) -> None:
    if channels % groups or out % groups:
        raise ShapeError(f"groups {groups} does not divide both {channels} input and {out} output channels")
