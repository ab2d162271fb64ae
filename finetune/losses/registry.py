"""What a loss is: a function of its context and of the arguments in the spec that returns a `Loss`.

A new loss is one file of this package. Torch is imported when a loss is built or called, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zoo.registry import Call, Registry

if TYPE_CHECKING:
    from torch import Tensor

    Loss = Callable[[Tensor, Tensor], Tensor]
    """In: logits (N, classes, …); class indices (N, …), or distributions (N, classes). Out: ()."""
else:
    Loss = Any  # the registry reads the annotations, without torch

LOSSES = Registry("loss")
ClassWeights = Literal["none", "balanced"]


@dataclass(frozen=True)
class LossContext:
    """What a task tells its loss.

    `class_counts` returns the training images (for masks, the pixels) of each class; it is called only by
    losses that need it. Targets equal to `ignore_index` do not count.
    """

    classes: int
    label_smoothing: float = 0.0
    ignore_index: int | None = None
    class_counts: Callable[[], Sequence[int]] | None = None


@dataclass(frozen=True)
class Limits:
    """What a loss cannot be combined with: keys of the `finetune` section, and other kinds of target."""

    refuses: tuple[str, ...] = ()
    targets: tuple[str, ...] = ("class", "mask")


LIMITS: dict[str, Limits] = {}


def loss(
    *, refuses: tuple[str, ...] = (), targets: tuple[str, ...] = ("class", "mask")
) -> Callable[[Callable[..., Loss]], Callable[..., Loss]]:
    """Register a function under its own name, with its limits."""

    def register(function: Callable[..., Loss]) -> Callable[..., Loss]:
        LIMITS[function.__name__] = Limits(refuses, targets)
        return LOSSES.register(function)

    return register


def build_loss(call: Call, context: LossContext) -> Loss:
    """Return the loss that a spec asks for; where every target of a batch is ignored, it is 0."""
    function: Loss = LOSSES[call.op].function(context, **call.args)
    ignored = context.ignore_index
    if ignored is None:
        return function

    def with_ignored(logits: Tensor, targets: Tensor) -> Tensor:
        if not bool(targets.ne(ignored).any()):
            return logits.sum() * 0.0
        return function(logits, targets)

    return with_ignored


def conflicts(call: Call, settings: object, *, target: str) -> Iterator[tuple[str, str]]:
    """Yield what the loss cannot be combined with: the message, and what is expected instead."""
    limits = LIMITS[call.op]
    if call.op != "auto" and target not in limits.targets:
        fitting = ", ".join(name for name, others in LIMITS.items() if target in others.targets)
        kinds = " or ".join(limits.targets)
        yield f"{call.op} is for {kinds} targets, and this task has {target} targets", f"one of: {fitting}"
    for key in limits.refuses:
        if value := getattr(settings, key):
            yield f"{call.op} takes no soft targets, and finetune.{key} is {value:g}", f"finetune.{key}=0"
