"""Default values for what a spec leaves to `auto`: epochs, batch size, learning rate."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

import zoo
from finetune.experiment.setup import Setup
from finetune.records.evidence import Evidence
from finetune.records.plan import Cell, Plan
from finetune.runtime.precision import EXACT
from finetune.strategies import Strategy
from zoo.errors import GraftError

MIN_EPOCHS, MAX_EPOCHS = 8, 60
"""Bounds on the epochs that follow from a strategy's number of steps."""
MAX_BATCH = 64
MAX_BATCH_PIXELS = 2**21
"""Pixels of a batch: training efficientnet_lite0 on 64 images of 224x224 holds 7.5 GB, on 32 half of it."""


def resolve_defaults(
    setup: Setup,
    strategy: Strategy,
    cell: Cell | None,
    reasons: tuple[str, ...],
    evidence: Evidence,
    *,
    depth: int | None = None,
) -> Plan:
    """Return the plan of a strategy, every `auto` replaced by a value; the learning rate is the usual one.

    In: `depth`, the number of stages to train where the spec leaves it open, None for half of them.
    Raises: GraftError when the spec asks for more stages than the network has.
    """
    settings, images = setup.settings, len(setup.splits.train.targets)
    usual = settings.batch_size if settings.batch_size != "auto" else _default_batch(images)
    batch = min(usual, _most_images(setup)) if settings.batch_size == "auto" else usual
    epochs, rate = settings.epochs, settings.learning_rate
    if epochs == "auto":
        epochs = 1 if strategy.probe else _clamp(round(strategy.steps / math.ceil(images / usual)))
    if rate == "auto":
        rate = 0.0 if strategy.probe else _default_rate(strategy, usual, batch, cell)
    return Plan(
        strategy=strategy.name,
        trains=_find_trained(setup, strategy, depth),
        head=_find_head(setup, strategy),
        epochs=epochs,
        batch_size=batch,
        learning_rate=rate,
        precision=EXACT if strategy.probe else setup.training_precision,
        cell=cell,
        reasons=reasons,
        evidence=evidence,
        batch_norm="stored" if strategy.fine_tunes and settings.batch_norm == "stored" else "batch",
    )


def is_possible(setup: Setup, strategy: Strategy) -> bool:
    """Return whether the strategy is possible with this network, these weights and the rest of the spec."""
    settings = setup.settings
    if setup.origin is None and strategy.pretrained:
        return False
    if strategy.probe and (settings.ensemble is not None or settings.after_stopping != "keep"):
        return False  # both need training by gradient
    head = setup.net.get_submodule(setup.anatomy.head)
    return not strategy.linear_head or isinstance(head, nn.Linear)


def _find_trained(setup: Setup, strategy: Strategy, depth: int | None) -> tuple[str, ...]:
    """Return the paths of the modules that learn."""
    stages = list(zoo.stage_parts(setup.net, setup.anatomy).values())
    requested = setup.settings.partial.stages
    if strategy.uses_depth and requested != "auto" and requested > len(stages):
        raise GraftError(
            f"finetune.partial.stages: {requested}; {setup.spec.name} has {len(stages)} stages\n"
            f"  expected: at most {len(stages)}, or finetune.strategy full, which trains everything"
        )
    depth = requested if requested != "auto" else depth or max(len(stages) // 2, 1)
    return strategy.trains(setup.anatomy.head, stages, depth)


def _default_batch(images: int) -> int:
    """Return a power of two that gives about eight steps per epoch or more, at most MAX_BATCH."""
    return min(MAX_BATCH, max(8, 1 << round(math.log2(max(images / 8, 1)))))


def _default_rate(strategy: Strategy, usual: int, batch: int, cell: Cell | None) -> float:
    """Return the learning rate for this batch size; `usual` is that without a bound on pixels.

    Few images come in small batches. The rate falls in proportion to the size of the batch, but only with its
    root where the weights have to change much: the steps are as many as with more images.
    """
    few = min(usual / MAX_BATCH, 1.0)
    far = strategy.fine_tunes and cell is not None and cell[1] == "different"
    return strategy.learning_rate * batch / MAX_BATCH * (few**-0.5 if far else 1.0)


def _most_images(setup: Setup) -> int:
    """Return the largest power of two of images that hold at most MAX_BATCH_PIXELS, at least 4."""
    shape = setup.spec.input
    return 1 << max(int(math.log2(MAX_BATCH_PIXELS / (shape.height * shape.width))), 2)


def _clamp(epochs: int) -> int:
    return min(max(epochs, MIN_EPOCHS), MAX_EPOCHS)


def _find_head(setup: Setup, strategy: Strategy) -> Literal["fresh", "probe"]:
    """Return where the head starts."""
    if strategy.probe:
        return "probe"
    requested = setup.settings.head
    return "fresh" if requested == "auto" or not strategy.pretrained else requested
