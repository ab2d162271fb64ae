"""Layers that change height and width without weights: upsample, pad, crop."""

from __future__ import annotations

from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from zoo.layers.shape import NotNegative, Positive, Shape, ShapeError, Size, channels_of, in_words, pair
from zoo.registry import layer

Mode = Literal["bilinear", "nearest", "bicubic"]


class ResizeTo(nn.Module):
    """The first input, resized to the height and width of the second."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def extra_repr(self) -> str:
        return f"mode={self.mode}"

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        align = None if self.mode == "nearest" else False
        return F.interpolate(x, size=like.shape[-2:], mode=self.mode, align_corners=align)


class CropTo(nn.Module):
    """The first input, its middle cut out to the height and width of the second."""

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        height, width = like.shape[-2:]
        top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
        return x[..., top : top + height, left : left + width]


@layer
def upsample(
    x: Shape,
    *,
    scale: Annotated[float, Field(gt=0)] | None = None,
    size: Size | None = None,
    mode: Mode = "bilinear",
    align_corners: bool = False,
) -> nn.Module:
    """Resize by `scale`, or to `size` pixels: (C, H, W) to (C, H scale, W scale)."""
    channels_of(x)
    if (scale is None) == (size is None):
        raise ShapeError("needs scale or size, one of them")
    align = None if mode == "nearest" else align_corners
    return nn.Upsample(None if size is None else pair(size), scale, mode, align)


@layer
def resize_to(x: Shape, like: Shape, *, mode: Mode = "bilinear") -> nn.Module:
    """Resize the first input to the second's height and width: (C, h, w), (D, H, W) to (C, H, W)."""
    channels_of(x)
    channels_of(like)
    return ResizeTo(mode)


@layer
def crop_to(x: Shape, like: Shape) -> nn.Module:
    """Cut the middle of the first input to the second's size: (C, h, w), (D, H, W) to (C, H, W)."""
    channels_of(x)
    channels_of(like)
    if x[1] < like[1] or x[2] < like[2]:
        raise ShapeError(f"cannot cut {in_words(like)} out of {in_words(x)}")
    return CropTo()


@layer
def pad(
    x: Shape,
    *,
    size: NotNegative | tuple[NotNegative, NotNegative, NotNegative, NotNegative],
    mode: Literal["zeros", "reflect", "replicate"] = "zeros",
) -> nn.Module:
    """Add a margin of `size` pixels, or of (left, right, top, bottom), to (C, H, W)."""
    channels_of(x)
    margins = (size,) * 4 if isinstance(size, int) else size
    if mode == "zeros":
        return nn.ZeroPad2d(margins)
    if mode == "replicate":
        return nn.ReplicationPad2d(margins)
    if max(margins[:2]) >= x[2] or max(margins[2:]) >= x[1]:
        raise ShapeError(f"a mirrored margin must be smaller than its input, {in_words(x)}")
    return nn.ReflectionPad2d(margins)


class PadToMultiple(nn.Module):
    """Zeros around the input, until its height and width are multiples; its middle stays in the middle."""

    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.multiple = multiple

    def forward(self, x: Tensor) -> Tensor:
        tall, wide = (-x.shape[-2] % self.multiple, -x.shape[-1] % self.multiple)
        return F.pad(x, (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2))

    def extra_repr(self) -> str:
        return f"multiple={self.multiple}"


@layer
def pad_to_multiple(x: Shape, *, multiple: Positive) -> nn.Module:
    """Add zeros around (C, H, W), up to the next multiples; `crop_to` the first size undoes it."""
    channels_of(x)
    return PadToMultiple(multiple)
