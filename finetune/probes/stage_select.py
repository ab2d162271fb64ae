"""Which stages a linear classifier should read: chosen by cross-validation, and only where that pays.

After Evci et al. 2022, "Head2Toe", arXiv:2201.03529, with whole stages in place of single features: stages
weigh the same, and one ridge penalty holds for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetune.features.extract import Features
from finetune.features.taps import HEAD
from finetune.probes.folds import Targets
from finetune.probes.probe import MeasuredProbe, Probe, measure_probe
from finetune.records.estimate import Estimate, gain

MOST_STAGES = 5
"""Of networks with more stages than this, so many are read, spread evenly from the input to the top."""
CLEAR = 0.5
"""Standard errors by which the log loss, image by image, must be below the top's for more stages to be read.

Over 20 draws of 5 and 20 images a class from three data sets this gained 0.8 points of test accuracy on the
top stage alone and lost 1.4 at worst; 0 gained 1.0 and lost 1.4, 1.5 gained 0.4 and lost nothing.
"""
SAME_WITHIN = 0.02
"""A stage nearer to the head's input than this share of its largest number is the same, but for rounding."""

Array = NDArray[np.float32]
Taps = tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """What one choice of stages reached on images that were left out."""

    taps: Taps
    accuracy: Estimate
    log_loss: float


@dataclass(frozen=True)
class StageFit:
    """The chosen stages (`taps`, from the input upward; HEAD stands for the head's input), and their probe.

    `probe` takes the features of the taps, joined in that order. `top` is what the head's input alone
    reached, `gain` the accuracy of `probe` over it, image by image, and `candidates` all that was compared.
    """

    taps: Taps
    probe: Probe
    top: Candidate
    gain: Estimate
    candidates: tuple[Candidate, ...]


def fit_stage_probe(
    features: Features, targets: Targets, *, classes: int | None = None, seed: int = 0
) -> StageFit:
    """Choose the stages and the ridge strength by cross-validation, and fit.

    Compared are the head's input alone, with each further stage below it, and each stage alone. The least log
    loss wins; where it is not clearly below the top's, or the accuracy is worse, the top alone is kept.
    Raises: as fit_probe.
    """
    return choose_stages(measure_stages(features, targets, classes=classes, seed=seed))


def measure_stages(
    features: Features, targets: Targets, *, classes: int | None = None, seed: int = 0
) -> Mapping[Taps, MeasuredProbe]:
    """Cross-validate a probe on every choice of stages that fit_stage_probe compares, (HEAD,) among them."""
    blocks = tap_blocks(features)
    return {
        taps: measure_probe([blocks[name] for name in taps], targets, classes=classes, seed=seed)
        for taps in _choices(list(blocks))
    }


def choose_stages(measured: Mapping[Taps, MeasuredProbe]) -> StageFit:
    """The best of what was measured, as fit_stage_probe says, fitted to all images."""
    top, best = measured[HEAD,], best_taps(measured)
    return StageFit(
        taps=best,
        probe=measured[best].fit(),
        top=_candidate((HEAD,), top),
        gain=gain(measured[best].trial.hits, top.trial.hits),
        candidates=tuple(_candidate(taps, item) for taps, item in measured.items()),
    )


def best_taps(measured: Mapping[Taps, MeasuredProbe]) -> Taps:
    """The choice with the least log loss; the head's input alone where that is not clearly worse."""
    best = min(measured, key=lambda taps: measured[taps].trial.log_loss)
    return best if _clearly_better(measured[best], measured[HEAD,]) else (HEAD,)


def tap_blocks(features: Features) -> Mapping[str, Array]:
    """What can be read, from the input upward, the head's input last; a stage that equals it is left out."""
    names = list(features.stages)
    if len(names) > MOST_STAGES:
        kept = np.linspace(0, len(names) - 1, MOST_STAGES).round().astype(int)
        names = [names[i] for i in kept]
    different = [name for name in names if not _same(features.stages[name], features.head_input)]
    return {name: features.stages[name] for name in different} | {HEAD: features.head_input}


def _choices(names: Sequence[str]) -> list[Taps]:
    """The tops of increasing depth, and each stage alone."""
    tops = [tuple(names[depth:]) for depth in range(len(names) - 1, -1, -1)]
    return tops + [(name,) for name in names[:-1]]


def _clearly_better(one: MeasuredProbe, top: MeasuredProbe) -> bool:
    """Whether the log loss is lower by more than noise, and the accuracy no worse than by noise."""
    losses = gain(top.losses(), one.losses())
    accuracy = gain(one.trial.hits, top.trial.hits)
    return losses.value > CLEAR * losses.error and accuracy.value > -accuracy.error


def _candidate(taps: Taps, measured: MeasuredProbe) -> Candidate:
    return Candidate(taps, measured.trial.accuracy, measured.trial.log_loss)


def _same(stage: Array, head: Array) -> bool:
    """Whether they hold the same numbers, up to the rounding of bfloat16."""
    if stage.shape != head.shape:
        return False
    return float(np.abs(stage - head).max()) <= SAME_WITHIN * float(np.abs(head).max())
