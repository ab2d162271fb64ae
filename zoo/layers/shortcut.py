"""Shortcuts past a residual block. Source: He et al. 2015, arXiv:1512.03385, section 3.3."""

from __future__ import annotations

from typing import Literal

from zoo.layers.shape import Layer, Positive, Shape, ShapeError, channels_of
from zoo.registry import Call, layer


@layer
def identity(x: Shape) -> Layer:
    """Return the input unchanged."""
    return Layer(x, lambda m: m.nn.Identity())


@layer
def projection(x: Shape, *, out: Positive, stride: Positive = 1) -> Layer | list[Call]:
    """Bring the input to (out, H / stride, W / stride): as it is where that fits, else by 1x1 conv and norm.

    Option B of the paper.
    """
    if channels_of(x) == out and stride == 1:
        return identity(x)
    return [Call("conv", {"out": out, "kernel": 1, "stride": stride, "bias": False}), Call("norm", {})]


@layer
def pad_shortcut(
    x: Shape, *, out: Positive, stride: Positive = 1, sides: Literal["end", "both"] = "end"
) -> Layer:
    """Bring the input to (out, H / stride, W / stride) by subsampling pixels and adding channels of zeros.

    Option A of the paper: no parameters. `sides`: all zeros after the other channels, or half of them before
    (of an odd number, the smaller half).
    """
    more = out - channels_of(x)
    if more < 0:
        raise ShapeError(f"can only add channels: {x[0]} in, {out} out")
    if stride == 1 and not more:
        return identity(x)
    before = more // 2 if sides == "both" else 0
    output = (out, *(-(-side // stride) for side in x[1:]))
    return Layer(output, lambda m: m.Subsample(stride, before, more - before))


@layer
def layer_scale(x: Shape) -> Layer:
    """Multiply each channel by a learned factor. Source: Touvron et al. 2021, CaiT, arXiv:2103.17239."""
    channels = channels_of(x)
    return Layer(x, lambda m: m.LayerScale(channels), channels)
