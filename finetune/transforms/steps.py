"""The augmentation of a spec: validated calls to one function, uint8 image in, uint8 image out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from finetune.transforms import colour, geometry, policy
from finetune.transforms.registry import AUGMENTS, Context, Transform
from finetune.transforms.sides import sides_matter, warn_flips
from zoo.registry import Call

if TYPE_CHECKING:
    from torch import Tensor

    from finetune.transforms.statistics import Statistics

FAMILIES = (geometry, colour, policy)  # importing them fills the registry

__all__ = [
    "AUGMENTS",
    "Context",
    "LateAugment",
    "build_augment",
    "build_step",
    "default_calls",
    "needs_statistics",
    "warn_flips",
]


def build_augment(
    calls: Iterable[Call], *, size: tuple[int, int], statistics: Statistics | None = None
) -> Callable[[Tensor], Tensor]:
    """Make one function of the steps, applied in their order; without steps it changes nothing.

    It draws from torch's global CPU generator. In, out: uint8 (3, height, width), where `size` is (height,
    width); or several tv_tensors, of which masks and boxes move along with their image.
    Raises: ValueError when a step needs statistics and there are none.
    """
    context = Context(*size, statistics)
    steps = [build_step(call, context) for call in calls]
    if len(steps) == 1:
        return steps[0]
    if not steps:
        return _unchanged
    from torchvision.transforms import v2

    composed: Callable[[Tensor], Tensor] = v2.Compose(steps)
    return composed


@dataclass(frozen=True)
class LateAugment:
    """As build_augment, and built when the first image comes.

    Importing torchvision takes longer than all else that a plan needs which was chosen before.
    """

    calls: tuple[Call, ...]
    size: tuple[int, int]
    statistics: Statistics | None = None

    def __call__(self, *images: Tensor) -> Any:  # noqa: ANN401  one for one, several for several
        return self._built(*images)

    @cached_property
    def _built(self) -> Callable[..., Any]:
        return build_augment(self.calls, size=self.size, statistics=self.statistics)


def build_step(call: Call, context: Context) -> Transform:
    """The torchvision transform of one step."""
    transform: Transform = AUGMENTS[call.op].function(context, **call.args)
    return transform


def needs_statistics(calls: Iterable[Call]) -> bool:
    """Whether a step needs the training set's statistics, which take one pass over it."""
    return any(call.op == "fancy_pca" for call in calls)


def default_calls(classes: Sequence[str], size: tuple[int, int]) -> tuple[Call, ...]:
    """What to do when the spec does not say: flip unless sides matter, crop, turn a little."""
    items: list[dict[str, object]] = [
        {"crop": {"padding": max(1, round(min(size) / 16))}},
        {"rotation": {"degrees": 10.0}},
    ]
    if not sides_matter(classes):
        items.insert(0, {"horizontal_flip": {}})
    return tuple(AUGMENTS.read_call(item) for item in items)


def _unchanged(image: Tensor) -> Tensor:
    return image
