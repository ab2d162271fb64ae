"""Normalisations: any of them may be the choice of the slot `norm`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from zoo.layers.shape import Layer, Positive, Shape, ShapeError, channels_of, format_shape, is_map
from zoo.registry import norm

Epsilon = Annotated[float, Field(gt=0)]
MAX_GROUPS = 32  # the default of Wu and He


@norm
def batch_norm(
    x: Shape, *, eps: Epsilon = 1e-5, momentum: Annotated[float, Field(gt=0, le=1)] = 0.1, affine: bool = True
) -> Layer:
    """Normalise each channel over the batch. Source: Ioffe and Szegedy 2015, arXiv:1502.03167."""
    kind = "BatchNorm2d" if is_map(x) else "BatchNorm1d"
    return Layer(x, lambda m: getattr(m.nn, kind)(x[0], eps, momentum, affine), 2 * x[0] * affine)


@norm
def group_norm(
    x: Shape, *, groups: Positive | None = None, eps: Epsilon = 1e-5, affine: bool = True
) -> Layer:
    """Normalise each image over groups of channels. Source: Wu and He 2018, arXiv:1803.08494.

    Without `groups`: the most that divide the channels, up to 32, with two channels or more in each.
    """
    if groups is not None and x[0] % groups:
        raise ShapeError(f"groups {groups} does not divide {x[0]} channels")
    return Layer(
        x, lambda m: m.nn.GroupNorm(groups or default_groups(x[0]), x[0], eps, affine), 2 * x[0] * affine
    )


@norm
def layer_norm(x: Shape, *, eps: Epsilon = 1e-5, affine: bool = True) -> Layer:
    """Normalise each image over all channels and pixels. Source: Ba et al. 2016, arXiv:1607.06450.

    Scaled by channel, so of any height and width: the same as group norm with one group.
    """
    return Layer(
        x,
        lambda m: m.nn.GroupNorm(1, x[0], eps, affine) if is_map(x) else m.nn.LayerNorm(x[0], eps, affine),
        2 * x[0] * affine,
    )


@norm
def channel_norm(x: Shape, *, eps: Epsilon = 1e-6, affine: bool = True) -> Layer:
    """Normalise each pixel over its channels. Source: Liu et al. 2022, ConvNeXt, arXiv:2201.03545."""
    channels = channels_of(x)
    return Layer(x, lambda m: m.ChannelNorm(channels, eps, affine), 2 * x[0] * affine)


@norm
def instance_norm(x: Shape, *, eps: Epsilon = 1e-5, affine: bool = True) -> Layer:
    """Normalise each channel of each image. Source: Ulyanov et al. 2016, arXiv:1607.08022."""
    channels = channels_of(x)
    if x[1] * x[2] == 1:
        raise ShapeError(f"cannot normalise each channel of {format_shape(x)}: there is one pixel")
    return Layer(x, lambda m: m.nn.InstanceNorm2d(channels, eps, affine=affine), 2 * channels * affine)


@norm
def local_response_norm(
    x: Shape,
    *,
    size: Positive = 5,
    alpha: Annotated[float, Field(gt=0)] = 1e-4,
    beta: Annotated[float, Field(gt=0)] = 0.75,
    k: Annotated[float, Field(gt=0)] = 1.0,
) -> Layer:
    """Divide by (k + alpha / size · sum of squares over `size` channels)^beta. Source: AlexNet, 2012.

    The paper's alpha is not divided by size: its 1e-4 over 5 channels is written 5e-4 here.
    """
    return Layer(x, lambda m: m.nn.LocalResponseNorm(size, alpha, beta, k))


@norm
def weight_norm(x: Shape) -> Layer:
    """Hold every weight as a direction and a length. Source: Salimans and Kingma 2016, arXiv:1602.07868.

    It changes how the layers with weights hold them, and stands for no module.
    """
    return Layer(x, lambda m: m.nn.Identity())


def default_groups(channels: int) -> int:
    """Return the largest divisor of `channels` up to 32 that leaves two channels or more in a group."""
    most = min(MAX_GROUPS, max(1, channels // 2))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)
