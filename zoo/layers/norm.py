"""Normalisations: any of them may be the choice of the slot `norm`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from zoo.layers.shape import Positive, Shape, ShapeError, channels_of, in_words, is_map
from zoo.registry import norm

Epsilon = Annotated[float, Field(gt=0)]
MOST_GROUPS = 32  # Wu and He's default


@norm
def batch_norm(
    x: Shape, *, eps: Epsilon = 1e-5, momentum: Annotated[float, Field(gt=0, le=1)] = 0.1, affine: bool = True
) -> nn.Module:
    """Normalise each channel over the batch. Source: Ioffe and Szegedy 2015, arXiv:1502.03167."""
    kind = nn.BatchNorm2d if is_map(x) else nn.BatchNorm1d
    return kind(x[0], eps, momentum, affine, device="meta")


@norm
def group_norm(
    x: Shape, *, groups: Positive | None = None, eps: Epsilon = 1e-5, affine: bool = True
) -> nn.Module:
    """Normalise each image over groups of channels. Source: Wu and He 2018, arXiv:1803.08494.

    Without `groups`: the most that divide the channels, up to 32, with two channels or more in each.
    """
    if groups is not None and x[0] % groups:
        raise ShapeError(f"{groups} groups do not divide {x[0]} channels")
    return nn.GroupNorm(groups or default_groups(x[0]), x[0], eps, affine, device="meta")


@norm
def layer_norm(x: Shape, *, eps: Epsilon = 1e-5, affine: bool = True) -> nn.Module:
    """Normalise each image over all channels and pixels. Source: Ba et al. 2016, arXiv:1607.06450.

    Scaled by channel, so of any height and width: the same as group norm with one group.
    """
    if is_map(x):
        return nn.GroupNorm(1, x[0], eps, affine, device="meta")
    return nn.LayerNorm(x[0], eps, affine, device="meta")


@norm
def instance_norm(x: Shape, *, eps: Epsilon = 1e-5, affine: bool = True) -> nn.Module:
    """Normalise each channel of each image. Source: Ulyanov et al. 2016, arXiv:1607.08022."""
    channels = channels_of(x)
    if x[1] * x[2] == 1:
        raise ShapeError(f"has nothing to normalise over in {in_words(x)}: one pixel")
    return nn.InstanceNorm2d(channels, eps, affine=affine, device="meta")


@norm
def local_response_norm(
    x: Shape,
    *,
    size: Positive = 5,
    alpha: Annotated[float, Field(gt=0)] = 1e-4,
    beta: Annotated[float, Field(gt=0)] = 0.75,
    k: Annotated[float, Field(gt=0)] = 1.0,
) -> nn.Module:
    """Divide by (k + alpha / size · sum of squares over `size` channels)^beta. Source: AlexNet, 2012.

    The paper's alpha is not divided by size: its 1e-4 over 5 channels is written 5e-4 here.
    """
    return nn.LocalResponseNorm(size, alpha, beta, k)


@norm
def weight_norm(x: Shape) -> nn.Module:
    """Hold every weight as a direction and a length. Source: Salimans and Kingma 2016, arXiv:1602.07868.

    It changes how the layers with weights hold them, and stands for no module.
    """
    return nn.Identity()


def default_groups(channels: int) -> int:
    """Give the largest divisor of `channels` up to 32 that leaves two channels or more in a group."""
    most = min(MOST_GROUPS, max(1, channels // 2))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)
