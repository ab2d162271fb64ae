"""Choosing the plan: the user's word first, then the table with what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from accelerate import PartialState
from torch import nn

import zoo
from finetune.evidence.measure import count_images, measure_evidence
from finetune.forecast import as_evidence, forecast_plan, within_budget
from finetune.plan import Plan
from finetune.precision import EXACT, Precision, fastest_precision
from finetune.setup import Setup
from finetune.strategies import STRATEGIES, Strategy, find_strategy
from finetune.table import TABLE, find_cell
from zoo.errors import GraftError

STEPS = {"scratch": 400, "full": 400, "partial": 400}
"""Optimiser steps that a run aims at when `epochs` is auto; kept between the two bounds below."""
FEWEST_EPOCHS, MOST_EPOCHS = 8, 60
LARGEST_BATCH = 64
PROBED_IMAGES, PROBED_ON_ACCELERATOR = 8, 256
"""Images that the speed of each precision is measured on; an accelerator is not busy with fewer."""
LEARNING_RATE = {"scratch": 0.1, "full": 0.02, "partial": 0.02}
"""Highest rate of SGD for a batch of 64, by strategy; it falls in proportion with smaller batches."""


def choose_plan(setup: Setup, *, compare: bool = False) -> Plan:
    """The plan for this setup: strategy, what trains, for how long, and why, within the spec's budget.

    `compare` also tells how long the other strategies would take.
    Raises: GraftError when the spec asks for a strategy that needs weights and there are none.
    """
    plan = _choose(setup)
    forecasts = {} if find_strategy(plan.strategy).probe else {plan.strategy: forecast_plan(setup, plan)}
    for strategy in STRATEGIES.values() if compare else ():
        possible = setup.origin is not None or not strategy.pretrained
        if possible and not strategy.probe and strategy.name not in forecasts:
            known = plan.precision if forecasts else None
            other = settle(setup, strategy, plan.cell, (), {}, precision=known)
            forecasts[strategy.name] = forecast_plan(setup, other)
    if plan.strategy in forecasts:
        plan = within_budget(plan, forecasts[plan.strategy], setup.settings.budget_minutes)
    return replace(plan, evidence={**plan.evidence, **as_evidence(forecasts)})


def _choose(setup: Setup) -> Plan:
    wanted = setup.settings.strategy
    if setup.origin is not None and not setup.task.probes:
        usual = "full" if wanted == "auto" else str(wanted)
        reason = f"{setup.task.name} has no frozen features to measure by; {usual} is what is usual"
        return settle(setup, find_strategy(usual), None, (reason,), count_images(setup))
    if setup.origin is not None:
        evidence = measure_evidence(setup)
        cell = find_cell(evidence.images_a_class, evidence.similar)
        name = TABLE[cell] if wanted == "auto" else wanted
        why = [*evidence.reasons, _word(wanted, name, cell)]
        if wanted == "auto" and name == "linear_probe" and not has_linear_head(setup):
            name = "stage_probe"
            why.append(
                f"{setup.anatomy.head} is no linear layer to write a probe into: stage_probe brings one"
            )
        return settle(setup, find_strategy(name), cell, tuple(why), evidence.numbers)
    if wanted not in ("auto", "scratch"):
        raise GraftError(
            f"finetune.strategy: {wanted} needs pretrained weights, and there are none: {setup.no_weights}\n"
            "  expected: weights to start from, or finetune.strategy=scratch"
        )
    reasons = (f"no pretrained weights ({setup.no_weights}), so the network is trained from scratch",)
    return settle(setup, find_strategy("scratch"), None, reasons, count_images(setup))


def settle(
    setup: Setup,
    strategy: Strategy,
    cell: tuple[str, str] | None,
    reasons: tuple[str, ...],
    numbers: Mapping[str, object],
    *,
    precision: Precision | None = None,
) -> Plan:
    """The plan of that strategy with every `auto` settled from the size of the training split.

    Without a `precision`, it is chosen as the spec says, or measured.
    """
    settings, images = setup.settings, len(setup.splits.train.targets)
    batch = settings.batch_size if settings.batch_size != "auto" else _batch_size(images)
    steps_an_epoch = math.ceil(images / batch)
    epochs = settings.epochs
    if epochs == "auto":
        epochs = 1 if strategy.probe else _clamp(round(STEPS[strategy.name] / steps_an_epoch))
    rate = settings.learning_rate
    if rate == "auto":
        rate = 0.0 if strategy.probe else LEARNING_RATE[strategy.name] * batch / LARGEST_BATCH
    stages = list(zoo.stage_parts(setup.net, setup.anatomy).values())
    depth = settings.partial.stages if settings.partial.stages != "auto" else max(len(stages) // 2, 1)
    trains = strategy.trains(setup.anatomy.head, stages, depth)
    precision = precision or choose_precision(setup, strategy)
    return Plan(strategy.name, trains, epochs, batch, rate, precision, cell, reasons, numbers)


def has_linear_head(setup: Setup) -> bool:
    """Whether a linear probe can be written into the network as it is."""
    return isinstance(setup.net.get_submodule(setup.anatomy.head), nn.Linear)


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


def _word(wanted: str, name: str, cell: tuple[str, str]) -> str:
    if wanted == "auto":
        return f"{cell[0]}, {cell[1]} data: the table says {name}"
    return f"the spec asks for {name}; for {cell[0]}, {cell[1]} data the table says {TABLE[cell]}"
