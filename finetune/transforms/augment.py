"""The augmentation of a spec: a list of calls becomes one function from uint8 images to uint8 images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from finetune.transforms.augmentations import AUGMENTATIONS, AugmentContext, v2
from zoo.registry import Call

if TYPE_CHECKING:
    from torch import Tensor

    from finetune.transforms.statistics import Statistics


def build_augment(
    calls: Iterable[Call], *, size: tuple[int, int], statistics: Statistics | None = None
) -> Callable[..., Any]:
    """Return one function that applies the calls in their order; without calls it returns its input.

    It draws from torch's global CPU generator. In, out: uint8 (3, height, width), where `size` is (height,
    width); or several tv_tensors, whose masks and boxes move along with the image.
    Raises: ValueError when an augmentation needs statistics and there are none.
    """
    context = AugmentContext(*size, statistics)
    transforms = [AUGMENTATIONS[call.op].function(context, **call.args) for call in calls]
    if not transforms:
        return _identity
    composed: Callable[..., Any] = transforms[0] if len(transforms) == 1 else v2.Compose(transforms)
    return composed


@dataclass(frozen=True)
class LazyAugment:
    """The same function as `build_augment` returns, built at the first image.

    A plan from the cache then never imports torchvision, which would take most of its time.
    """

    calls: tuple[Call, ...]
    size: tuple[int, int]
    statistics: Statistics | None = None

    def __call__(self, *images: Tensor) -> Any:  # noqa: ANN401  one for one, several for several
        return self._built(*images)

    @cached_property
    def _built(self) -> Callable[..., Any]:
        return build_augment(self.calls, size=self.size, statistics=self.statistics)


def needs_statistics(calls: Iterable[Call]) -> bool:
    """Return whether an augmentation needs the statistics of the training images."""
    return any(call.op == "fancy_pca" for call in calls)


def _identity(image: Tensor) -> Tensor:
    return image
