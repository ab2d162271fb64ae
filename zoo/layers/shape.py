"""Shapes of one image's activations, without the batch: (channels, height, width), or (features,)."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

Shape: TypeAlias = tuple[int, ...]

Positive: TypeAlias = Annotated[int, Field(gt=0)]
NotNegative: TypeAlias = Annotated[int, Field(ge=0)]
Share: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
Size: TypeAlias = Positive | tuple[Positive, Positive]  # height and width, or one number for both
Padding: TypeAlias = NotNegative | tuple[NotNegative, NotNegative]

MAP_AXES = 3


class ShapeError(ValueError):
    """A layer that cannot take the shape it is given; the message says both."""


def in_words(shape: Shape) -> str:
    """Give a shape as people write it: 64x56x56."""
    return "x".join(map(str, shape))


def channels_of(shape: Shape) -> int:
    """Give the channels of a map. Raises ShapeError for flat features."""
    if len(shape) != MAP_AXES:
        raise ShapeError(f"needs channels, height and width, found {in_words(shape)} (flat features)")
    return shape[0]


def features_of(shape: Shape) -> int:
    """Give the number of flat features. Raises ShapeError for a map."""
    if len(shape) != 1:
        raise ShapeError(f"needs flat features, found {in_words(shape)}: flatten comes first")
    return shape[0]


def is_map(shape: Shape) -> bool:
    """Say whether a shape is that of a map: channels, height and width."""
    return len(shape) == MAP_AXES


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Give height and width."""
    return (size, size) if isinstance(size, int) else size
