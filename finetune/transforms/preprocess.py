"""Pixels of any size to what a network eats: the one place that resizes and normalises.

Bilinear resampling with antialiasing is a matrix product here, for three reasons. Its weights come from whole
numbers, so every runtime gives the same pixels; native resize kernels differ by thousandths of a grey level,
which rounding turns into other pixels. The three resize rules are one formula, with no branch on a size that
tracing would freeze. And a product needs no operator that some runtimes lack.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

Resize = Literal["squash", "crop", "pad"]

WHITE = 255
GROUP = 8  # output rows that share one window of input rows: fewer multiplications than one product for all
# Rounds halves up. Averages of whole numbers often end in exactly .5, and sums in another order miss that by
# some 1e-5: the odd bit more than one half keeps them on one side, and is itself no likely fraction.
HALF = 0.5 + 0.00137
LUMA = (19595, 38470, 7471)  # ITU-R BT.601 in 1/65536, as Pillow's mode L


class Preprocess(nn.Module):
    """Resize to the network's size by one rule, round to the uint8 grid, convert to grey if asked, normalise.

    `squash` stretches the whole image to the size; `crop` keeps its shape and takes the largest central part
    that fills the size; `pad` keeps its shape and shows all of it, centred, on black. `mean` and `std` are on
    the scale 0..1: one number a channel, or a mean image (channels, height, width). Default: 0.5 each.
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
            raise ValueError(f"images become 1 channel (grey) or 3 (RGB); {channels} channels were asked for")
        self.height, self.width, self.channels, self.rule = height, width, channels, resize
        self.register_buffer("mean", _constant("mean", mean, channels, (height, width)), persistent=False)
        self.register_buffer("std", _constant("std", std, channels, (height, width)), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """In: uint8 (N, H, W, 3) or (N, 3, H, W), any H and W; a last dimension of 3 is read as channels.
        Out: float32 (N, channels, height, width)."""
        rows = image if image.shape[-1] == 3 else image.permute(0, 2, 3, 1)  # noqa: PLR2004  R, G, B
        return self.normalise(self._resize(rows))

    def resize(self, image: Tensor) -> Tensor:
        """In: uint8 (N, 3, H, W), any H and W. Out: uint8 (N, 3, height, width)."""
        return self._resize(image.permute(0, 2, 3, 1))

    def normalise(self, image: Tensor) -> Tensor:
        """In: uint8 (N, 3, height, width). Out: float32 (N, channels, height, width)."""
        values = image.to(torch.float32)
        if self.channels == 1:
            values = _luma(values)
        return (values / WHITE - self.mean) / self.std

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Black and white after normalisation: two tensors that broadcast over (N, channels, h, w)."""
        return -self.mean / self.std, (1 - self.mean) / self.std

    def extra_repr(self) -> str:
        return f"{self.height}x{self.width}, channels={self.channels}, resize={self.rule}"

    def _resize(self, image: Tensor) -> Tensor:
        """In: uint8 (N, H, W, 3). Out: uint8 (N, 3, height, width)."""
        count, high, wide = image.shape[:3]
        up, across = self._scales(high, wide)
        rows = _resample(image.reshape(count, high, wide * 3), self.height, *up, pad=self.rule == "pad")
        rows = rows.reshape(count, self.height, wide, 3).permute(0, 2, 3, 1)
        columns = rows.reshape(count, wide, 3 * self.height)
        columns = _resample(columns, self.width, *across, pad=self.rule == "pad")
        pixels = columns.reshape(count, self.width, 3, self.height).permute(0, 2, 3, 1)
        return (pixels + HALF).to(torch.uint8).contiguous()

    def _scales(self, high: int, wide: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Input pixels per output pixel down and across, as fractions of whole numbers."""
        if self.rule == "squash":
            return (high, self.height), (wide, self.width)
        pick = _smaller if self.rule == "crop" else _larger
        scale = (pick(high * self.width, wide * self.height), self.height * self.width)
        return scale, scale


def _resample(rows: Tensor, size: int, numerator: int, denominator: int, *, pad: bool) -> Tensor:
    """Average rows under a triangle: `numerator / denominator` input rows to one of output, middles aligned.

    All positions are whole numbers: twice the distance from the middle of the image, times the denominator.
    In: (N, length, M). Out: float (N, size, M).
    """
    count, length, width = rows.shape
    groups = -(-size // GROUP)
    reach = _larger(numerator, denominator)  # half the triangle's foot: never less than one input row
    window = _smaller(length, ((GROUP - 1) * numerator + 2 * reach) // denominator + 5)

    device = rows.device
    wanted = (2 * torch.arange(groups * GROUP, device=device) + 1 - size).reshape(groups, GROUP)
    first = wanted[:, :1] * numerator - 2 * reach + (length - 1) * denominator
    first = torch.div(first.clamp(min=0), 2 * denominator, rounding_mode="trunc") - 1  # one to spare
    first = torch.minimum(first.clamp(min=0), torch.zeros_like(first) + (length - window))
    index = first + torch.arange(window, device=device)  # (groups, window)

    centres = (2 * index + 1 - length) * denominator
    distance = (centres[:, None, :] - (wanted * numerator)[:, :, None]).abs()
    weights = (2 * reach - distance).clamp(min=0)  # (groups, GROUP, window)
    if pad:  # rows outside the image weigh nothing, which is black; the middle of the thinnest image stays
        edge = _larger(length * denominator, numerator)
        weights = weights * (wanted.abs() * numerator <= edge)[:, :, None]
    # TF32 would drop bits; CUDA has no such shortcut for float64
    kind = torch.float64 if rows.is_cuda else torch.float32
    share = weights.to(kind) / weights.sum(2, keepdim=True).clamp(min=1).to(kind)

    picked = rows.index_select(1, index.reshape(-1)).reshape(count, groups, window, width)
    with _full_precision(device):
        return (share @ picked.to(kind)).reshape(count, groups * GROUP, width)[:, :size]


def _smaller(one: int, other: int) -> int:
    return cast("int", torch.sym_min(one, other))  # of sizes that may be symbols, while traced


def _larger(one: int, other: int) -> int:
    return cast("int", torch.sym_max(one, other))


def _full_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """No autocast in here; entered only where one is on, since tracing would write it into the graph."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


def _luma(rgb: Tensor) -> Tensor:
    """The grey of Pillow's mode L, exactly: every product and sum is below 2**24. In: (N, 3, h, w)."""
    red, green, blue = LUMA
    total = rgb[:, 0:1] * red + rgb[:, 1:2] * green + rgb[:, 2:3] * blue
    return torch.floor((total + 32768) / 65536)


def _constant(
    name: str, values: Sequence[float] | Tensor | None, channels: int, size: tuple[int, int]
) -> Tensor:
    """Per-channel constants as (1, channels, 1, 1), a mean image as (1, channels, height, width)."""
    given = [0.5] * channels if values is None else values
    constant = torch.as_tensor(given, dtype=torch.float32)
    if constant.shape == (channels, *size):
        return constant[None].clone()
    if constant.shape != (channels,):
        found = tuple(constant.shape)
        raise ValueError(f"{name} holds one number a channel, here {channels}; its shape is {found}")
    if name == "std" and not (constant > 0).all():
        raise ValueError(f"std holds positive numbers; found {constant.tolist()}")
    return constant.reshape(1, channels, 1, 1).clone()
