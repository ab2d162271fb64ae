"""What an augmentation is: a function of the context and its spec arguments that gives a transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from zoo.registry import Registry

if TYPE_CHECKING:
    from finetune.transforms.statistics import Statistics

AUGMENTS = Registry("augmentation")
augment = AUGMENTS.register

# torchvision.transforms.v2.Transform: uint8 image in, uint8 image out, tv_tensors (masks) transformed along.
# It is imported where a transform is made, so that a spec is checked without waiting for torchvision.
Transform = Callable[..., Any]

Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Portion = Annotated[float, Field(gt=0, le=1)]
Ratio = Annotated[float, Field(ge=1)]
Amount = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Context:
    """What a step may need beside its arguments: the images' size, and statistics of the training images."""

    height: int
    width: int
    statistics: Statistics | None = None


def sometimes(transform: Transform, p: float) -> Transform:
    """The transform with probability `p`."""
    from torchvision.transforms import v2

    return transform if p == 1 else v2.RandomApply([transform], p)
