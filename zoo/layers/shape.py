"""Shapes without the batch, (channels, height, width) or (features,), and what a layer returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import Field

if TYPE_CHECKING:
    from torch import nn

Shape: TypeAlias = tuple[int, ...]

Positive: TypeAlias = Annotated[int, Field(gt=0)]
NotNegative: TypeAlias = Annotated[int, Field(ge=0)]
Share: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
Size: TypeAlias = Positive | tuple[Positive, Positive]  # height and width, or one number for both
Padding: TypeAlias = NotNegative | tuple[NotNegative, NotNegative]
ConvPadding: TypeAlias = Padding | Literal["same"]  # "same": that of TensorFlow, H' = H / stride, rounded up

MAP_AXES = 3


class ShapeError(ValueError):
    """A layer cannot take the shape of its input."""


class Layer(NamedTuple):
    """The output shape of a layer, the function that builds its module, and how many parameters that has.

    `build` is called with the module `zoo.layers.modules`, so that torch is imported only when a network is
    built, not when its spec is read.
    """

    output: Shape
    build: Callable[[Any], nn.Module]
    parameters: int = 0


def format_shape(shape: Shape) -> str:
    """Return a shape as text: 64x56x56."""
    return "x".join(map(str, shape))


def channels_of(shape: Shape) -> int:
    """Return the channels of a feature map. Raises ShapeError for flat features."""
    if len(shape) != MAP_AXES:
        raise ShapeError(f"needs channels, height and width, found {format_shape(shape)} flat features")
    return shape[0]


def features_of(shape: Shape) -> int:
    """Return the number of flat features. Raises ShapeError for a feature map."""
    if len(shape) != 1:
        raise ShapeError(f"needs flat features, found {format_shape(shape)}: put flatten before it")
    return shape[0]


def is_map(shape: Shape) -> bool:
    """Return whether a shape has channels, height and width."""
    return len(shape) == MAP_AXES


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return height and width."""
    return (size, size) if isinstance(size, int) else size


def windowed(
    x: Shape, kernel: Size, stride: Size, padding: Padding, dilation: Size, *, ceil: bool = False
) -> tuple[int, int]:
    """Return the height and width that a sliding window gives; with `ceil`, windows may cross the edge.

    Raises ShapeError for a window that is larger than the padded input.
    """
    channels_of(x)
    counts = []
    for size, extent, step, margin, spread in zip(
        x[1:], pair(kernel), pair(stride), pair(padding), pair(dilation), strict=True
    ):
        reach = spread * (extent - 1) + 1
        room = size + 2 * margin - reach
        if room < 0:
            padded = f"the padded input has {size + 2 * margin} (input {format_shape(x)})"
            raise ShapeError(f"the kernel spans {reach} pixels, but {padded}")
        crosses = ceil and room % step and (room // step + 1) * step < size + margin
        counts.append(room // step + (2 if crosses else 1))
    return counts[0], counts[1]
