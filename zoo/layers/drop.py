"""Drops: any of them may be the choice of the slot `drop`; all are the identity outside training."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from zoo.layers.shape import Shape, Share, is_map
from zoo.registry import drop


class DropPath(nn.Module):
    """All of an image's values zero with probability p, the others scaled by 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = torch.rand((len(x),) + (1,) * (x.dim() - 1), device=x.device) >= self.p
        return x * kept.to(x.dtype) / (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class DropBlock(nn.Module):
    """Squares of `size` pixels zero in each channel, a share p of all; the others scaled to keep the sum."""

    def __init__(self, p: float, size: int) -> None:
        super().__init__()
        self.p = p
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        height, width = x.shape[-2:]
        size = min(self.size, height, width)
        # The rate of centres such that squares cover a share p: equation 1 of the paper.
        rate = self.p / size**2 * height * width / ((height - size + 1) * (width - size + 1))
        centres = (torch.rand_like(x[..., size - 1 :, size - 1 :]) < rate).to(x.dtype)
        dropped = F.max_pool2d(F.pad(centres, (size - 1,) * 4), size, stride=1)
        kept = 1 - dropped
        return x * kept * (kept.numel() / kept.sum().clamp(min=1))

    def extra_repr(self) -> str:
        return f"p={self.p}, size={self.size}"


@drop
def dropout(x: Shape, *, p: Share = 0.5) -> nn.Module:
    """Zero each value with probability p. Source: Srivastava et al. 2014, JMLR 15."""
    return nn.Dropout(p)


@drop
def dropout2d(x: Shape, *, p: Share = 0.1) -> nn.Module:
    """Zero whole channels with probability p; a flat feature is a channel. Source: arXiv:1411.4280."""
    return nn.Dropout2d(p) if is_map(x) else nn.Dropout(p)


@drop
def drop_block(x: Shape, *, p: Share = 0.1, size: Annotated[int, Field(gt=0)] = 7) -> nn.Module:
    """Zero squares of pixels. Source: Ghiasi et al. 2018, arXiv:1810.12890.

    On flat features, squares of one value: dropout.
    """
    return DropBlock(p, size) if is_map(x) else nn.Dropout(p)


@drop
def drop_path(x: Shape, *, p: Share = 0.1) -> nn.Module:
    """Zero the whole branch of an image with probability p: stochastic depth. Source: arXiv:1603.09382."""
    return DropPath(p)
