"""What the numbers of a run say, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from finetune.checks.result import some
from finetune.records.metrics_log import read_lines
from finetune.tasks.base import chance_loss

if TYPE_CHECKING:
    from finetune.experiment.setup import Setup

Line = Mapping[str, Any]

WANTED, OFF = 1e-3, 10.0
"""A layer's weights should move by about this share of their length in a step; off by ten is told."""
AT_HEIGHT = 0.5
"""Updates count while the schedule has the rate at this share of its height or more."""
MOST_DEAD = 0.5
GAP, SURE = 0.05, 2.0
"""A gap is one from this on, and from this many standard errors on."""
GOOD = 0.9
FLAT = 0.98


def flag_updates(ratios: Mapping[str, float], factor: float) -> list[str]:
    """The layers whose update is off the wanted share of their weights by ten, while rates are high."""
    if factor < AT_HEIGHT:
        return []
    return [
        f"{layer} moves by {ratio:.1e} of its weights a step"
        for layer, ratio in ratios.items()
        if _off(ratio)
    ]


def flag_dead(shares: Mapping[str, float]) -> list[str]:
    """The activations of which most units are dead."""
    return [f"{share:.0%} of {layer} is dead" for layer, share in shares.items() if share > MOST_DEAD]


def read_training(lines: Sequence[Line], score: str, *, classes: int, val_images: int) -> tuple[str, ...]:
    """Sentences on a run from the lines of its log: the gap first, then what is off.

    `score` is the task's. Lines that were not measured (`finetune.monitor: none`) say nothing.
    """
    told = [line for line in lines if f"train_{score}" in line]
    if not told:
        return ()
    best = max((line for line in told if line["best"]), key=lambda line: int(line["epoch"]), default=told[-1])
    sentences = [read_gap(best, score, classes=classes, val_images=val_images, last=best is lines[-1])]
    if min(line["train_loss"] for line in lines) > FLAT * chance_loss(classes):
        sentences.append("the training loss hardly fell below a guess's: the learning rate may be too low")
    return (*sentences, *_read_updates(told), *flag_dead(told[-1]["dead_units"]))


def read_run(setup: Setup, log: Path) -> tuple[str, ...]:
    """`read_training` of a run's metrics.jsonl."""
    lines, classes = read_lines(log), len(setup.classes)
    return read_training(lines, setup.task.score, classes=classes, val_images=len(setup.val))


def read_gap(line: Line, score: str, *, classes: int, val_images: int, last: bool) -> str:
    """What the scores on training and on validation images say together.

    `last` tells that no epoch came after this one.
    """
    train, val = float(line[f"train_{score}"]), float(line[f"val_{score}"])
    error = math.hypot(_error(train, int(line["train_images"])), _error(val, val_images))
    gap = train - val
    facts = f"train {score} {train:.3f}, val {score} {val:.3f}, gap {gap:.3f} ± {error:.3f}"
    if gap > max(GAP, SURE * error):
        if val - SURE * _error(val, val_images) <= 1 / classes:
            return f"{facts}: learnt by heart, and new images guessed: do the labels belong to them?"
        return f"{facts}: overfitting; more regularisation, augmentation or images would help"
    if train < GOOD:
        longer = ", and it still got better at the end" if last else ""
        return f"{facts}: no gap{longer}; more capacity, more of it trained, or a longer run would help"
    return f"{facts}: a good fit"


def _read_updates(lines: Sequence[Line]) -> list[str]:
    """Layers whose updates were off in the median of the epochs at high rates, too small and too large."""
    high = [line["update_ratios"] for line in lines if line["rate_factor"] >= AT_HEIGHT]
    layers = {layer for ratios in high for layer in ratios}
    typical = {layer: median([r[layer] for r in high if layer in r]) for layer in sorted(layers)}
    low = [f"{layer} ({ratio:.0e})" for layer, ratio in typical.items() if ratio < WANTED / OFF]
    large = [f"{layer} ({ratio:.0e})" for layer, ratio in typical.items() if ratio > WANTED * OFF]
    said = []
    if low:
        said.append(
            f"weights hardly move in {some(low)}; about 1e-3 a step is usual: a higher rate may serve"
        )
    if large:
        said.append(
            f"weights move a lot in {some(large)}; about 1e-3 a step is usual: a lower rate may serve"
        )
    return said


def _off(ratio: float) -> bool:
    return not WANTED / OFF <= ratio <= WANTED * OFF


def _error(share: float, images: int) -> float:
    """Standard error of a share, with one image more on either side: never 0."""
    middle = (share * images + 1) / (images + 2)
    return math.sqrt(middle * (1 - middle) / (images + 3))
