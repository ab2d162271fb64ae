"""Convolutions. Input channels follow from what comes before."""

from __future__ import annotations

from torch import nn

from zoo.layers.shape import Padding, Positive, Shape, ShapeError, Size, channels_of, in_words, pair
from zoo.registry import layer


@layer
def conv(
    x: Shape,
    *,
    out: Positive,
    kernel: Size,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: Positive = 1,
    bias: bool = True,
) -> nn.Module:
    """Convolve: (C, H, W) to (out, H', W'), H' = (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1."""
    channels = channels_of(x)
    if channels % groups or out % groups:
        raise ShapeError(f"{groups} groups do not divide both {channels} channels in and {out} out")
    _fits(x, kernel, padding, dilation)
    return nn.Conv2d(channels, out, kernel, stride, padding, dilation, groups, bias, device="meta")


@layer
def depthwise_conv(
    x: Shape,
    *,
    kernel: Size,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    multiplier: Positive = 1,
    bias: bool = True,
) -> nn.Module:
    """Convolve every channel by itself: (C, H, W) to (C multiplier, H', W')."""
    channels = channels_of(x)
    _fits(x, kernel, padding, dilation)
    out = channels * multiplier
    return nn.Conv2d(channels, out, kernel, stride, padding, dilation, channels, bias, device="meta")


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
) -> nn.Module:
    """Convolve at stride 1/stride: (C, H, W) to (out, H', W'), H' = (H - 1) stride - 2 padding + kernel."""
    channels = channels_of(x)
    if channels % groups or out % groups:
        raise ShapeError(f"{groups} groups do not divide both {channels} channels in and {out} out")
    return nn.ConvTranspose2d(
        channels, out, kernel, stride, padding, output_padding, groups, bias, dilation, device="meta"
    )


def _fits(x: Shape, kernel: Size, padding: Padding, dilation: Size) -> None:
    """Refuse a kernel that is larger than its padded input."""
    sizes = zip(x[1:], pair(kernel), pair(padding), pair(dilation), strict=True)
    for size, extent, margin, spread in sizes:
        reach = spread * (extent - 1) + 1
        if reach > size + 2 * margin:
            raise ShapeError(f"a kernel that spans {reach} is larger than its padded input, {in_words(x)}")
