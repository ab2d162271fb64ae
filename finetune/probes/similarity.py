"""How similar images are to those the weights were trained on, measured from features alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from finetune.features.extract import Features
from finetune.features.taps import HEAD, stage_norms
from finetune.probes.drift import measure_drift
from finetune.probes.folds import Targets
from finetune.probes.hscore import measure_hscore
from finetune.probes.knn import measure_neighbours
from finetune.probes.probe import MeasuredProbe, measure_probe
from finetune.probes.stage_select import Taps, tap_blocks
from finetune.records.estimate import Estimate, gain_of

Label = Literal["similar", "different"]

# The thresholds come from one network of 2.8 million parameters with weak weights (22% on Tiny ImageNet). Its
# top stage drifted by 0.01 to 0.11 nats per channel on unseen images of the same kind (ten images of two
# classes gave the largest value), by 0.15 to 0.21 on flowers, 0.28 to 0.36 on signed digits, 0.45 on written
# ones. The second rule is for networks without batch norm, and separates the same images much less well.
DRIFT = 0.12
"""Similar below this drift of the top stage with a batch norm, in nats per channel."""
OVER_EARLIER = 0.0
"""Else similar when the head's input gains more than this accuracy over the best single stage below it."""


@dataclass(frozen=True)
class Similarity:
    """The label, the `score` that decided, and the `reason`; `clear` by two standard errors or more.

    `evidence` holds every measured number: `probe:STAGE` and `neighbours:STAGE` (held-out accuracy),
    `h-score:STAGE`, `drift:STAGE`, and the gain `over earlier`. The head's input is the stage `head`.
    """

    label: Label
    score: Estimate
    reason: str
    clear: bool
    evidence: Mapping[str, Estimate]


RULES = f"2 {DRIFT} {OVER_EARLIER}"
"""What a cached decision depends on beside features and targets; the first number is the version."""


def measure_similarity(
    features: Features,
    targets: Targets,
    net: nn.Module,
    *,
    measured: Mapping[Taps, MeasuredProbe] | None = None,
    separation: bool = True,
    seed: int = 0,
) -> Similarity:
    """Measure similarity from frozen features, and decide by the first rule that applies.

    In: features of N images and their targets (N,); their network; optionally the result
    of measure_stages. Without `separation`, how well stages separate the classes is measured only where
    nothing else decides.
    Raises: as fit_probe.
    """
    drift = measure_drift(features.norms, stage_norms(net, list(features.norms)))
    evidence = {f"drift:{stage}": value for stage, value in drift.items()}
    if separation or not drift:
        probes = _each_alone(features, targets, seed, measured or {})
        evidence |= _separation(features, targets, probes)
    return _decide(drift, evidence)


def _each_alone(
    features: Features, targets: Targets, seed: int, measured: Mapping[Taps, MeasuredProbe]
) -> dict[str, MeasuredProbe]:
    """Return a probe on each stage and on the head's input, measured unless it was before."""
    return {
        name: measured[name,] if (name,) in measured else measure_probe(values, targets, seed=seed)
        for name, values in tap_blocks(features).items()
    }


def _separation(
    features: Features, targets: Targets, probes: Mapping[str, MeasuredProbe]
) -> dict[str, Estimate]:
    """Measure how well each stage separates the classes, and the gain of the top over the best below."""
    evidence = {}
    for name, probe in probes.items():
        values = features.head_input if name == HEAD else features.stages[name]
        evidence[f"probe:{name}"] = probe.cv.accuracy
        evidence[f"neighbours:{name}"] = measure_neighbours(values, targets).accuracy
        evidence[f"h-score:{name}"] = measure_hscore(values, targets)
    earlier = [probe for name, probe in probes.items() if name != HEAD]
    if earlier:
        evidence["over earlier"] = gain_of(probes[HEAD].cv.correct, _best(earlier).cv.correct)
    return evidence


def _decide(drift: Mapping[str, Estimate], evidence: Mapping[str, Estimate]) -> Similarity:
    if drift:
        stage, score = list(drift.items())[-1]
        text = f"the inputs of {stage} drift by {score} nats per channel from those of training"
        return _similarity(score, DRIFT, text, evidence, below=True)
    score = evidence.get("over earlier", Estimate(0.0, math.inf))
    text = f"the top stage is {score} more accurate than the best stage below it"
    return _similarity(score, OVER_EARLIER, text, evidence)


def _similarity(
    score: Estimate, threshold: float, text: str, evidence: Mapping[str, Estimate], *, below: bool = False
) -> Similarity:
    similar = score.value < threshold if below else score.value > threshold
    label: Label = "similar" if similar else "different"
    side = "below" if score.value < threshold else "not below"
    clear = abs(score.value - threshold) > 2 * score.error
    return Similarity(label, score, f"{text}, {side} {threshold:.2f}: {label}", clear, evidence)


def _best(probes: list[MeasuredProbe]) -> MeasuredProbe:
    return max(probes, key=lambda probe: probe.cv.accuracy.value)
