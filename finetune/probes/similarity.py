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
from finetune.probes.probe import MeasuredProbe, measure_probe
from finetune.probes.stage_select import Taps, tap_blocks
from finetune.records.estimate import Estimate, gain_of

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
    """The label and the `reason` for it; `clear` where the `score` is two standard errors from the threshold.

    `evidence` holds every measured number: `drift:STAGE`, `probe:STAGE` (held-out accuracy), and the gain
    `over earlier`. The head's input is the stage `head`.
    """

    label: Literal["similar", "different"]
    score: Estimate
    reason: str
    clear: bool
    evidence: Mapping[str, Estimate]


RULES = f"3 {DRIFT} {OVER_EARLIER}"
"""What a cached decision depends on beside features and targets; the first number is the version."""


def measure_similarity(
    features: Features,
    targets: Targets,
    net: nn.Module,
    *,
    measured: Mapping[Taps, MeasuredProbe] | None = None,
    seed: int = 0,
) -> Similarity:
    """Measure similarity from frozen features, and decide by the first rule that applies.

    In: features of N images and their targets (N,); their network; optionally the result of measure_stages.
    Without that, the stages are compared only where the network has no batch norm.
    Raises: as fit_probe.
    """
    drift = measure_drift(features.norms, stage_norms(net, list(features.norms)))
    evidence = {f"drift:{stage}": value for stage, value in drift.items()}
    if measured or not drift:
        evidence |= _compare_stages(features, targets, measured or {}, seed)
    if drift:
        stage, score = list(drift.items())[-1]
        threshold, similar = DRIFT, score.value < DRIFT
        text = f"the inputs of {stage} drift by {score} nats per channel from those of training"
    else:
        score = evidence.get("over earlier", Estimate(0.0, math.inf))
        threshold, similar = OVER_EARLIER, score.value > OVER_EARLIER
        text = f"the top stage is {score} more accurate than the best stage below it"
    label: Literal["similar", "different"] = "similar" if similar else "different"
    side = "below" if score.value < threshold else "not below"
    clear = abs(score.value - threshold) > 2 * score.error
    return Similarity(label, score, f"{text}, {side} {threshold:.2f}: {label}", clear, evidence)


def _compare_stages(
    features: Features, targets: Targets, measured: Mapping[Taps, MeasuredProbe], seed: int
) -> dict[str, Estimate]:
    """Measure a probe on each stage unless it was measured before, and the gain of the top over the best."""
    probes = {
        name: measured[name,] if (name,) in measured else measure_probe(values, targets, seed=seed)
        for name, values in tap_blocks(features).items()
    }
    evidence = {f"probe:{name}": probe.cv.accuracy for name, probe in probes.items()}
    earlier = [probe for name, probe in probes.items() if name != HEAD]
    if earlier:
        best = max(earlier, key=lambda probe: probe.cv.accuracy.value)
        evidence["over earlier"] = gain_of(probes[HEAD].cv.correct, best.cv.correct)
    return evidence
