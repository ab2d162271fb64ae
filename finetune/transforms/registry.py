"""What an augmentation is: a function of its context and its arguments in the spec that returns a transform.

Torchvision is imported when a transform is built, not before: specs are read and checked without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.registry import Registry

if TYPE_CHECKING:
    from finetune.transforms.statistics import Statistics

AUGMENTATIONS = Registry("augmentation")
augmentation = AUGMENTATIONS.register

Transform = Callable[..., Any]
"""A torchvision.transforms.v2.Transform: uint8 image in, uint8 image out; masks are transformed along."""


@dataclass(frozen=True)
class AugmentContext:
    """Size of the images, and statistics of the training images for the augmentations that need them."""

    height: int
    width: int
    statistics: Statistics | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width


class _LazyV2:
    """The module torchvision.transforms.v2, imported when it is first used."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        from torchvision.transforms import v2

        return getattr(v2, name)


v2 = _LazyV2()


def with_probability(transform: Transform, p: float) -> Transform:
    """Apply the transform with probability `p`."""
    result: Transform = transform if p == 1 else v2.RandomApply([transform], p)
    return result
