"""Settling what a spec leaves to `auto`, from the size of the data: epochs, batches, rates, precision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from accelerate import PartialState
from torch import nn

import zoo
from finetune.experiment.setup import Setup
from finetune.records.plan import Plan
from finetune.runtime.precision import EXACT, Precision, fastest_precision
from finetune.strategies import Strategy
from zoo.errors import GraftError

STEPS = {"scratch": 400, "full": 300, "partial": 300}
"""Optimiser steps that a run aims at when `epochs` is auto; kept between the two bounds below."""
FEWEST_EPOCHS, MOST_EPOCHS = 8, 60
LARGEST_BATCH = 64
PROBED_IMAGES, PROBED_ON_ACCELERATOR = 8, 256
"""Images that the speed of each precision is measured on; an accelerator is not busy with fewer."""
LEARNING_RATE = {"scratch": 0.1, "full": 0.1, "partial": 0.1}
"""Highest rate of SGD for a batch of 64, by strategy; it falls in proportion with smaller batches."""


def settle(
    setup: Setup,
    strategy: Strategy,
    cell: tuple[str, str] | None,
    reasons: tuple[str, ...],
    numbers: Mapping[str, object],
    *,
    precision: Precision | None = None,
    depth: int | None = None,
    rates: float = 1.0,
) -> Plan:
    """The plan of that strategy with every `auto` settled.

    Without a `precision`, it is chosen as the spec says, or measured. `depth` is the number of stages that
    `partial` trains where the spec leaves it open; None for half of them. `rates` multiplies the default
    learning rates of what starts from pretrained weights.
    """
    settings, images = setup.settings, len(setup.splits.train.targets)
    batch = settings.batch_size if settings.batch_size != "auto" else _batch_size(images)
    epochs = settings.epochs
    if epochs == "auto":
        epochs = 1 if strategy.probe else _clamp(round(STEPS[strategy.name] / math.ceil(images / batch)))
    rate = settings.learning_rate
    if rate == "auto":
        rate = 0.0 if strategy.probe else LEARNING_RATE[strategy.name] * batch / LARGEST_BATCH
        if strategy.pretrained and rates != 1:
            rate *= rates
            reasons = (
                *reasons,
                f"learning rates are {rates:g} times the usual, by the size of these weights",
            )
            numbers = {**numbers, "rates": rates}
    stages = list(zoo.stage_parts(setup.net, setup.anatomy).values())
    wanted = settings.partial.stages
    if strategy.name == "partial" and wanted != "auto" and wanted > len(stages):
        raise GraftError(
            f"finetune.partial.stages: {wanted}; {setup.spec.name} has {len(stages)} stages\n"
            f"  expected: at most {len(stages)}, or finetune.strategy full, which trains everything"
        )
    deep = wanted if wanted != "auto" else depth or max(len(stages) // 2, 1)
    return Plan(
        strategy=strategy.name,
        trains=strategy.trains(setup.anatomy.head, stages, deep),
        head=_head(setup, strategy),
        epochs=epochs,
        batch_size=batch,
        learning_rate=rate,
        precision=precision or choose_precision(setup, strategy),
        cell=cell,
        reasons=reasons,
        evidence=numbers,
    )


def choose_precision(setup: Setup, strategy: Strategy) -> Precision:
    """The arithmetic to train in: as the spec says, else the fastest on this device, measured."""
    wanted = setup.settings.precision
    if strategy.probe or wanted == "float32":
        return EXACT
    device = PartialState().device
    images = PROBED_IMAGES if device.type == "cpu" else PROBED_ON_ACCELERATOR
    example = torch.zeros(images, 3, setup.spec.input.height, setup.spec.input.width, dtype=torch.uint8)
    inputs = setup.preprocess.to(device).normalise(example.to(device))
    autocast = True if wanted == "bfloat16" else None
    return fastest_precision(setup.net.to(device), inputs, backward=True, autocast=autocast)


def _batch_size(images: int) -> int:
    """A power of two that leaves at least about eight steps an epoch, at most LARGEST_BATCH."""
    return min(LARGEST_BATCH, max(8, 1 << round(math.log2(max(images / 8, 1)))))


def _clamp(epochs: int) -> int:
    return min(max(epochs, FEWEST_EPOCHS), MOST_EPOCHS)


def _head(setup: Setup, strategy: Strategy) -> Literal["fresh", "probe"]:
    """Where the head starts: `probe` or `fresh`."""
    if strategy.probe or not strategy.pretrained:
        return "probe" if strategy.probe else "fresh"
    wanted = setup.settings.head
    return "fresh" if wanted == "auto" else wanted


def could_be(setup: Setup, strategy: Strategy) -> bool:
    """Whether the strategy is possible with this network, these weights and what the spec wants beside it."""
    settings = setup.settings
    if setup.origin is None and strategy.pretrained:
        return False
    if strategy.probe and (settings.ensemble is not None or settings.after_stopping != "keep"):
        return False  # these are about training by gradient
    return strategy.name != "linear_probe" or isinstance(
        setup.net.get_submodule(setup.anatomy.head), nn.Linear
    )
