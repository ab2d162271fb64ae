"""Layers that change height and width without weights: upsample, pad, crop."""

from __future__ import annotations

from math import floor
from typing import Annotated, Literal

from pydantic import Field

from zoo.layers.shape import (
    Layer,
    NotNegative,
    Positive,
    Shape,
    ShapeError,
    Size,
    channels_of,
    format_shape,
    pair,
)
from zoo.registry import layer

Mode = Literal["bilinear", "nearest", "bicubic"]


@layer
def upsample(
    x: Shape,
    *,
    scale: Annotated[float, Field(gt=0)] | None = None,
    size: Size | None = None,
    mode: Mode = "bilinear",
    align_corners: bool = False,
) -> Layer:
    """Resize by `scale`, or to `size` pixels: (C, H, W) to (C, H scale, W scale)."""
    channels_of(x)
    if (scale is None) == (size is None):
        raise ShapeError("needs either scale or size")
    sides = pair(size) if size is not None else tuple(floor(side * (scale or 1)) for side in x[1:])
    align = None if mode == "nearest" else align_corners
    return Layer(
        (x[0], *sides), lambda m: m.nn.Upsample(None if size is None else pair(size), scale, mode, align)
    )


@layer
def resize_to(x: Shape, like: Shape, *, mode: Mode = "bilinear") -> Layer:
    """Resize the first input to the second's height and width: (C, h, w), (D, H, W) to (C, H, W)."""
    channels_of(like)
    return Layer((channels_of(x), *like[1:]), lambda m: m.ResizeTo(mode))


@layer
def crop_to(x: Shape, like: Shape) -> Layer:
    """Crop the middle of the first input to the second's size: (C, h, w), (D, H, W) to (C, H, W)."""
    channels_of(x)
    channels_of(like)
    if x[1] < like[1] or x[2] < like[2]:
        raise ShapeError(f"cannot crop {format_shape(like)} out of {format_shape(x)}")
    return Layer((x[0], *like[1:]), lambda m: m.CropTo())


@layer
def pad(
    x: Shape,
    *,
    size: NotNegative | tuple[NotNegative, NotNegative, NotNegative, NotNegative],
    mode: Literal["zeros", "reflect", "replicate"] = "zeros",
) -> Layer:
    """Add a margin of `size` pixels, or of (left, right, top, bottom), to (C, H, W)."""
    channels_of(x)
    left, right, top, bottom = margins = (size,) * 4 if isinstance(size, int) else size
    if mode == "reflect" and (max(left, right) >= x[2] or max(top, bottom) >= x[1]):
        raise ShapeError(f"a reflected margin must be smaller than the input of {format_shape(x)}")
    kind = {"zeros": "ZeroPad2d", "reflect": "ReflectionPad2d", "replicate": "ReplicationPad2d"}[mode]
    output = (x[0], x[1] + top + bottom, x[2] + left + right)
    return Layer(output, lambda m: getattr(m.nn, kind)(margins))


@layer
def pad_to_multiple(x: Shape, *, multiple: Positive) -> Layer:
    """Add zeros around (C, H, W), up to the next multiples; `crop_to` the first size undoes it."""
    output = (channels_of(x), *(side + -side % multiple for side in x[1:]))
    return Layer(output, lambda m: m.PadToMultiple(multiple))
