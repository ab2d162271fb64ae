"""The diagnosis of a run: what its numbers say about the fit, the learning rate and dead units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from rich.console import Console

from finetune.checks.check import shorten
from finetune.checks.run import read_failed
from finetune.engine.callbacks import Callback
from finetune.experiment.setup import Setup
from finetune.records.metrics_log import EpochRecord, Measurements, read_records
from finetune.runtime.console import details
from finetune.tasks import Task

USUAL_RATIO, MAX_FACTOR = 1e-3, 10.0
"""One step usually changes a layer's weights by this share of their length; ten times off is reported."""
HIGH_RATE = 0.5
"""Updates count while the schedule's factor is at least this high."""
MAX_DEAD = 0.5
MIN_GAP, ERRORS = 0.05, 2.0
"""A gap between training and validation counts from this size and this number of standard errors on."""
GOOD_SCORE = 0.9
GOOD_FIT = "a good fit"
FLAT = 0.98
"""A training loss that never fell below this share of a guess's is flat."""


class Diagnosis(Callback):
    """Prints the diagnosis when training has ended."""

    def __init__(self, setup: Setup, log: Path, console: Console) -> None:
        self.setup, self.log, self.console = setup, log, console

    def on_train_end(self) -> None:
        """Print one line for each finding."""
        for finding in diagnose_run(self.setup, self.log):
            details(self.console).print(f"  • {finding}", markup=False)


def diagnose_run(setup: Setup, log: Path) -> tuple[str, ...]:
    """Return the `diagnose` of a run's metrics.jsonl, which agrees with the checks before the run."""
    records, classes = read_records(log), len(setup.classes)
    findings = diagnose(records, setup.task, classes=classes, val_images=len(setup.val))
    return weigh_checks(findings, read_failed(log.parent))


def weigh_checks(findings: tuple[str, ...], failed: Sequence[str]) -> tuple[str, ...]:
    """Return the findings; the first one says what a check that failed before training means now."""
    if not findings or not failed:
        return findings
    fit, check = findings[0], f"the check {failed[0]}, which failed before training"
    if fit.endswith(GOOD_FIT):
        return f"{fit}, so {check}, needs no change", *findings[1:]
    return f"{fit}. First follow the advice of {check}", *findings[1:]


def diagnose(records: Sequence[EpochRecord], task: Task, *, classes: int, val_images: int) -> tuple[str, ...]:
    """Return a sentence on the fit, at most one on the learning rate, and one for each mostly dead layer.

    In: the records of a run, in order. Out: nothing without measurements.
    """
    measured = [record.measured for record in records if record.measured is not None]
    if not measured:
        return ()
    known = [record for record in records if record.measured is not None]
    best = next((record for record in reversed(known) if record.best), known[-1])
    underfits, fit = _diagnose_fit(best, task, classes, val_images, last=best is records[-1])
    flat = underfits and min(record.train_loss for record in records) > FLAT * task.chance_loss(classes)
    return (fit, *_diagnose_rate(measured, flat=flat), *flag_dead(measured[-1].dead_units))


def flag_updates(ratios: Mapping[str, float], rate_factor: float) -> tuple[str, ...]:
    """Return a line for each layer whose update is ten times off the usual one, while rates are high."""
    low, high = _unusual(ratios)
    layers = [layer for layer in ratios if layer in {*low, *high} and rate_factor >= HIGH_RATE]
    return tuple(f"{layer} moves by {ratios[layer]:.1e} of its weights per step" for layer in layers)


def flag_dead(shares: Mapping[str, float]) -> tuple[str, ...]:
    """Return a line for each activation of which most units are dead."""
    return tuple(f"{share:.0%} of {layer} is dead" for layer, share in shares.items() if share > MAX_DEAD)


def _diagnose_fit(
    record: EpochRecord, task: Task, classes: int, val_images: int, *, last: bool
) -> tuple[bool, str]:
    """Return whether the network underfits, and a sentence that compares training and validation scores.

    `last` is True when no epoch came after this one.
    """
    assert record.measured is not None
    assert record.val_score is not None
    train, val = record.measured.train_eval_score, record.val_score
    val_error = _standard_error(val, val_images)
    error = math.hypot(_standard_error(train, record.measured.train_images), val_error)
    facts = f"train {task.score} {train:.3f}, val {task.score} {val:.3f}, gap {train - val:.3f} ± {error:.3f}"
    if train - val > max(MIN_GAP, ERRORS * error):
        if val - ERRORS * val_error <= task.chance_score(classes):
            return False, f"{facts}: memorised; new images are guessed: do the labels fit the images?"
        return False, f"{facts}: overfitting; more regularisation, augmentation or images would help"
    if train < GOOD_SCORE:
        longer = ", and the score still improved at the end" if last else ""
        return True, f"{facts}: no gap{longer}; more capacity, more trained layers or a longer run would help"
    return False, f"{facts}: {GOOD_FIT}"


def _diagnose_rate(measured: Iterable[Measurements], *, flat: bool) -> list[str]:
    """Return advice on the learning rate: that which concerns most layers, none where they disagree evenly.

    Updates are judged by their median over the epochs with high rates. `flat` is True when the
    training loss hardly fell.
    """
    updates = [each.update_ratios for each in measured if each.rate_factor >= HIGH_RATE]
    layers = sorted({layer for ratios in updates for layer in ratios})
    low, high = _unusual({layer: median(r[layer] for r in updates if layer in r) for layer in layers})
    flat_loss = "the training loss hardly fell below that of a guess"
    usual = f"{USUAL_RATIO:g} per step is usual"
    if len(high) > len(low):
        return [f"weights move a lot in {_listed(high)}; {usual}: a lower learning rate may help"]
    if len(low) > len(high):
        slow = f"weights hardly move in {_listed(low)}; {usual}: a higher learning rate may help"
        return [f"{flat_loss}, and {slow}" if flat else slow]
    return [f"{flat_loss}: a higher learning rate may help"] if flat and not low else []


def _unusual(ratios: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the layers whose updates are ten times too small, and those ten times too large."""
    low = {layer: ratio for layer, ratio in ratios.items() if ratio < USUAL_RATIO / MAX_FACTOR}
    high = {layer: ratio for layer, ratio in ratios.items() if ratio > USUAL_RATIO * MAX_FACTOR}
    return low, high


def _listed(ratios: Mapping[str, float]) -> str:
    return shorten([f"{layer} ({ratio:.0e})" for layer, ratio in ratios.items()])


def _standard_error(share: float, images: int) -> float:
    """Return the standard error of a share with one image added on either side, so that it is never 0."""
    middle = (share * images + 1) / (images + 2)
    return math.sqrt(middle * (1 - middle) / (images + 3))
