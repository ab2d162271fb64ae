"""Resizing and normalisation: from images of any size to the input of a network.

Bilinear resampling with antialiasing is written as a matrix product, for three reasons. Its weights come from
integers, so every runtime gives the same pixels; native resize kernels differ by thousandths of a grey level,
which rounding turns into different pixels. The three resize rules are one formula, without a branch on a size
that tracing would fix. And a matrix product needs no operator that some runtimes lack.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, cast

import torch
from torch import Tensor, nn

Resize = Literal["squash", "crop", "pad"]

WHITE = 255
STRIP_PIXELS = 2**23  # larger images are resized in strips
GROUP = 8  # output rows that share one window of input rows, which saves multiplications
# Rounds halves up. Averages of integers are often exactly .5, and summing in another order changes them by
# about 1e-5. The small excess over one half keeps all of these on the same side.
HALF = 0.5 + 0.00137
LUMA = (19595, 38470, 7471)  # ITU-R BT.601 in 1/65536, as Pillow's mode L


class Preprocess(nn.Module):
    """Resize to the network's size, round to uint8, convert to grey for one channel, and normalise.

    `resize` is `squash` (ignore the aspect ratio), `crop` (keep it, and take the largest central part that
    fills the size) or `pad` (keep it, and centre the whole image on black). `mean` and `std` are for values
    from 0 to 1: one number per channel, or a mean image (channels, height, width); 0.5 by default.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        height: int,
        width: int,
        channels: int = 3,
        resize: Resize = "squash",
        mean: Sequence[float] | Tensor | None = None,
        std: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(f"channels: found {channels}; expected 1 (grey) or 3 (RGB)")
        self.height, self.width, self.channels, self.rule = height, width, channels, resize
        self.register_buffer("mean", _constant("mean", mean, channels, (height, width)), persistent=False)
        self.register_buffer("std", _constant("std", std, channels, (height, width)), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Resize and normalise.

        In: uint8 (N, H, W, 3) or (N, 3, H, W) of any size; a last dimension of 3 is read as channels.
        Out: float32 (N, channels, height, width).
        """
        rows = image if image.shape[-1] == 3 else image.permute(0, 2, 3, 1)  # noqa: PLR2004  R, G, B
        return self.normalise(self._resize(rows))

    def resize(self, image: Tensor) -> Tensor:
        """Resize. In: uint8 (N, 3, H, W) of any size. Out: uint8 (N, 3, height, width)."""
        return self._resize(image.permute(0, 2, 3, 1))

    def normalise(self, image: Tensor) -> Tensor:
        """Normalise. In: uint8 (N, 3, height, width). Out: float32 (N, channels, height, width)."""
        values = image.to(torch.float32)
        if self.channels == 1:
            values = _luma(values)
        return (values / WHITE).sub_(self.mean).div_(self.std)  # in place: a third less time

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Return the normalised values of black and white, which broadcast over (N, channels, h, w)."""
        return -self.mean / self.std, (1 - self.mean) / self.std

    def extra_repr(self) -> str:
        return f"{self.height}x{self.width}, channels={self.channels}, resize={self.rule}"

    def _resize(self, image: Tensor) -> Tensor:
        """In: uint8 (N, H, W, 3). Out: uint8 (N, 3, height, width)."""
        count, height, width = image.shape[:3]
        scale_y, scale_x = self._scales(height, width)
        rows, pad = image.reshape(count, height, width * 3), self.rule == "pad"
        if torch.compiler.is_exporting() or height * width <= STRIP_PIXELS:
            rows = _resample(rows, self.height, *scale_y, pad=pad)
        else:  # in strips of columns: the rows that are picked for all of a large image take gigabytes
            strips = rows.tensor_split(-(-height * width // STRIP_PIXELS), dim=2)
            rows = torch.cat([_resample(strip, self.height, *scale_y, pad=pad) for strip in strips], dim=2)
        rows = rows.reshape(count, self.height, width, 3).permute(0, 2, 3, 1)
        columns = rows.reshape(count, width, 3 * self.height)
        columns = _resample(columns, self.width, *scale_x, pad=pad)
        pixels = columns.reshape(count, self.width, 3, self.height).permute(0, 2, 3, 1)
        return (pixels + HALF).to(torch.uint8).contiguous()

    def _scales(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return input pixels per output pixel, vertically and horizontally, as fractions of integers."""
        if self.rule == "squash":
            return (height, self.height), (width, self.width)
        pick = _smaller if self.rule == "crop" else _larger
        scale = (pick(height * self.width, width * self.height), self.height * self.width)
        return scale, scale


def _resample(rows: Tensor, size: int, numerator: int, denominator: int, *, pad: bool) -> Tensor:
    """Resample rows with a triangle filter; the centres of input and output coincide.

    In: (N, length, M); the rest as _weigh_rows. Out: float (N, size, M).
    """
    count, length, width = rows.shape
    device = rows.device
    weigh = _weigh_rows if torch.compiler.is_exporting() else _cached_rows
    index, shares = weigh(length, size, numerator, denominator, pad=pad, device=device)
    # On CUDA, float32 products may use TF32, which has fewer digits; float64 products do not.
    dtype = torch.float64 if rows.is_cuda else torch.float32
    groups, window = index.shape
    picked = rows.index_select(1, index.reshape(-1)).reshape(count, groups, window, width)
    with _full_precision(device):
        return (shares @ picked.to(dtype)).reshape(count, groups * GROUP, width)[:, :size]


def _weigh_rows(
    length: int, size: int, numerator: int, denominator: int, *, pad: bool, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return which of `length` rows each of `size` new rows is made of, and their shares.

    One new row covers `numerator / denominator` rows. All positions are integers: twice the distance from the
    centre of the image, times the denominator. New rows are taken in groups of GROUP.
    Out: indices (groups, window); float64 on CUDA, else float32, (groups, GROUP, window).
    """
    groups = -(-size // GROUP)
    reach = _larger(numerator, denominator)  # half the width of the triangle, at least one input row
    window = _smaller(length, ((GROUP - 1) * numerator + 2 * reach) // denominator + 5)

    targets = (2 * torch.arange(groups * GROUP, device=device) + 1 - size).reshape(groups, GROUP)
    first = targets[:, :1] * numerator - 2 * reach + (length - 1) * denominator
    first = torch.div(first.clamp(min=0), 2 * denominator, rounding_mode="trunc") - 1
    first = torch.minimum(first.clamp(min=0), torch.zeros_like(first) + (length - window))
    index = first + torch.arange(window, device=device)  # (groups, window)

    centres = (2 * index + 1 - length) * denominator
    distance = (centres[:, None, :] - (targets * numerator)[:, :, None]).abs()
    weights = (2 * reach - distance).clamp(min=0)  # (groups, GROUP, window)
    if pad:  # rows outside the image get no weight, which is black
        edge = _larger(length * denominator, numerator)  # at least one row of the thinnest image stays
        weights = weights * (targets.abs() * numerator <= edge)[:, :, None]
    dtype = torch.float64 if device.type == "cuda" else torch.float32
    return index, weights.to(dtype) / weights.sum(2, keepdim=True).clamp(min=1).to(dtype)


_cached_rows = lru_cache(maxsize=64)(_weigh_rows)
"""Photos of a folder often have the same few sizes; for small images, this is most of the work."""


def _smaller(one: int, other: int) -> int:
    return cast("int", torch.sym_min(one, other))  # sizes are symbols while traced


def _larger(one: int, other: int) -> int:
    return cast("int", torch.sym_max(one, other))


def _full_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Disable autocast. Only where it is enabled: tracing would write it into the graph."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


def _luma(rgb: Tensor) -> Tensor:
    """Convert to the grey of Pillow's mode L, exactly: every sum is below 2**24. In: (N, 3, h, w)."""
    red, green, blue = LUMA
    total = rgb[:, 0:1] * red + rgb[:, 1:2] * green + rgb[:, 2:3] * blue
    return torch.floor((total + 32768) / 65536)


def _constant(
    name: str, values: Sequence[float] | Tensor | None, channels: int, size: tuple[int, int]
) -> Tensor:
    """Return per-channel values as (1, channels, 1, 1), a mean image as (1, channels, height, width)."""
    given = [0.5] * channels if values is None else values
    constant = torch.as_tensor(given, dtype=torch.float32)
    if constant.shape == (channels, *size):
        return constant[None].clone()
    if constant.shape != (channels,):
        found = tuple(constant.shape)
        raise ValueError(f"{name}: found shape {found}; expected one number per channel, {channels}")
    if name == "std" and not (constant > 0).all():
        raise ValueError(f"std: found {constant.tolist()}; expected positive numbers")
    return constant.reshape(1, channels, 1, 1).clone()
