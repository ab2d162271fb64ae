"""How well a frozen network suits the images: the held-out accuracy of a linear probe on its features."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

import zoo
from finetune.data import Splits
from finetune.experiment.recipe import choose_weights
from finetune.experiment.setup import Setup, prepare
from finetune.probes.arithmetic import choose_arithmetic
from finetune.probes.folds import Rows, stratified_sample
from finetune.probes.network import network_features
from finetune.probes.probe import measure_probe
from finetune.records.network import NetworkScore
from finetune.runtime.console import report_progress
from zoo.describe.trace import describe
from zoo.errors import WeightsUnavailableError
from zoo.pretrained.load import fetch_weights

WARM_UP, TIMED = 16, 32
"""Images that pass the network before, and while, its speed is measured."""


def measure_network(
    recipe: zoo.Spec, splits: Splits, *, most_images: int, limit_s: float = float("inf")
) -> NetworkScore:
    """Measure a spec on a sample of the training images; the same images and folds for every spec.

    A network whose features would take longer than `limit_s`, or whose weights are nowhere, is left out.
    Features come from the cache where they were computed before, and stay there for the run.
    """
    weights, _ = choose_weights(recipe)
    score = NetworkScore(recipe.name, weights or "none", "", describe(recipe).macs)
    if weights is None:
        return replace(score, left_out="its spec declares no weights")
    report_progress(f"comparing networks: {recipe.name}")
    try:
        fetch_weights(recipe, weights)
    except WeightsUnavailableError as error:
        return replace(score, left_out=str(error).partition("\n")[0])
    start = time.monotonic()
    setup = choose_arithmetic(prepare(zoo.override(recipe, {"finetune.strategy": "linear_probe"}), splits))
    assert setup.origin is not None, "the weights are named"
    score = replace(score, licence=setup.origin.licence)
    targets, seed = splits.train.targets, setup.settings.seed
    rows = stratified_sample(targets, most_images, seed=seed)
    needed_s = _forecast_s(setup, rows)
    if needed_s > limit_s:
        left_out = (
            f"its features take about {_minutes(needed_s)} minutes, more than the {_minutes(limit_s)} left"
        )
        return replace(score, left_out=left_out)
    features = network_features(setup, rows)
    probe = measure_probe(features.head_input, targets[rows], classes=len(splits.classes), seed=seed)
    return replace(
        score,
        images=len(rows),
        accuracy=probe.cv.accuracy,
        seconds=round(time.monotonic() - start, 1),
    )


def _forecast_s(setup: Setup, rows: Rows) -> float:
    """Return how many seconds the features of these images still take, by those of a few of them."""
    mixed = np.random.default_rng(0).permutation(rows)  # not the photos of one class alone
    network_features(setup, np.sort(mixed[:WARM_UP]))
    timed = mixed[WARM_UP : WARM_UP + TIMED]
    if not len(timed):
        return 0.0
    part = network_features(setup, np.sort(timed))
    rest = len(rows) - WARM_UP - len(timed)
    return part.seconds / len(timed) * rest if part.computed else 0.0


def _minutes(seconds: float) -> str:
    return f"{max(seconds, 0) / 60:.2g}"
