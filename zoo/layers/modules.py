"""Modules that torch.nn does not have. Imported when a network is built, not when a spec is read."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["nn"]  # as `m.nn` in the layer functions


class Configured(nn.Module):
    """A module whose annotated attributes are its arguments, in their order."""

    def __init__(self, *values: object) -> None:
        super().__init__()
        for name, value in zip(type(self).__annotations__, values, strict=True):
            setattr(self, name, value)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in type(self).__annotations__)


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: H' = H / stride, rounded up; odd padding goes last."""

    def forward(self, x: Tensor) -> Tensor:
        margins = []
        for size, kernel, stride, dilation in zip(
            x.shape[-2:], self.kernel_size, self.stride, self.dilation, strict=True
        ):
            total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
            margins.append((total // 2, total - total // 2))
        return super().forward(F.pad(x, (*margins[1], *margins[0])))


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel: (N, C, H, W) to (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """A learned factor for each channel: (N, C, H, W) to (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x


class Maxout(Configured):
    """Maximum of each `pieces` neighbouring channels."""

    pieces: int

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, *sizes = x.shape
        return x.reshape(batch, channels // self.pieces, self.pieces, *sizes).amax(dim=2)


class DropPath(Configured):
    """Zero all values of an image with probability p; scale those of the others by 1 / (1 - p)."""

    p: float

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = torch.rand((len(x),) + (1,) * (x.dim() - 1), device=x.device) >= self.p
        return x * kept.to(x.dtype) / (1 - self.p)


class DropBlock(Configured):
    """Zero squares of `size` pixels in each channel, a share p of all; scale the others to keep the sum."""

    p: float
    size: int

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        height, width = x.shape[-2:]
        size = min(self.size, height, width)
        # The rate of centres for which squares cover a share p: equation 1 of the paper.
        rate = self.p / size**2 * height * width / ((height - size + 1) * (width - size + 1))
        centres = (torch.rand_like(x[..., size - 1 :, size - 1 :]) < rate).to(x.dtype)
        dropped = F.max_pool2d(F.pad(centres, (size - 1,) * 4), size, stride=1)
        kept = 1 - dropped
        return x * kept * (kept.numel() / kept.sum().clamp(min=1))


class Add(nn.Module):
    """Sum of its inputs."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = first + other
        return first


class Multiply(nn.Module):
    """Product of its inputs, broadcast."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = first * other
        return first


class Concat(nn.Module):
    """Channels of its inputs, one after another."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, dim=1)


class WithAuxiliary(NamedTuple):
    """Output of a network with an auxiliary head in training."""

    main: Tensor
    auxiliary: Tensor


class Auxiliary(nn.Module):
    """The main output; in training both, for a loss on each."""

    def forward(self, main: Tensor, auxiliary: Tensor) -> Tensor | WithAuxiliary:
        return WithAuxiliary(main, auxiliary) if self.training else main


class ResizeTo(Configured):
    """The first input, resized to the height and width of the second."""

    mode: str

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        align = None if self.mode == "nearest" else False
        return F.interpolate(x, size=like.shape[-2:], mode=self.mode, align_corners=align)


class CropTo(nn.Module):
    """The middle of the first input, at the height and width of the second."""

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        height, width = like.shape[-2:]
        top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
        return x[..., top : top + height, left : left + width]


class PadToMultiple(Configured):
    """Zeros around the input, until height and width are multiples; the input stays in the middle."""

    multiple: int

    def forward(self, x: Tensor) -> Tensor:
        tall, wide = (-x.shape[-2] % self.multiple, -x.shape[-1] % self.multiple)
        return F.pad(x, (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2))


class Subsample(Configured):
    """Every `stride`-th pixel, with channels of zeros `before` and `after` the others."""

    stride: int
    before: int
    after: int

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))
