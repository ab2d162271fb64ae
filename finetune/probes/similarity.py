"""How near images are to what the weights know, told from features alone, without the weights' own data."""

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
from finetune.records.estimate import Estimate, gain

Label = Literal["similar", "different"]

# First guesses, from one network of 2.8 million parameters with weak weights (22% on Tiny ImageNet). Its top
# stage drifted by 0.01 to 0.11 nats a channel on unseen images of the weights' own kind (ten images of two
# classes being the worst), by 0.15 to 0.21 on flowers, 0.28 to 0.36 on signed digits, 0.45 on written ones.
# The two rules below it are for networks without batch norm, and told the same images apart far less well.
DRIFT = 0.12
"""Similar below this drift of the top stage that has a batch norm, in nats a channel."""
OVER_RANDOM = 0.25
"""Else similar above this share of random weights' mistakes that the top stage avoids."""
OVER_EARLIER = 0.0
"""Else similar above this gain in accuracy of the head's input over the best single stage below it."""


@dataclass(frozen=True)
class Similarity:
    """`label`, the `score` that decided and the `rule` in words; `clear` when it holds by two errors or more.

    `evidence` holds every number that was measured: `probe:STAGE` and `neighbours:STAGE` (accuracy when left
    out), the same of random weights under `random probe:STAGE`, `h-score:STAGE`, `drift:STAGE`, and the gains
    `over earlier` and `over random`. The head's input stands as the stage `head`.
    """

    label: Label
    score: Estimate
    rule: str
    clear: bool
    evidence: Mapping[str, Estimate]


RULES = f"1 {DRIFT} {OVER_RANDOM} {OVER_EARLIER}"
"""What a kept decision hangs on beside features and targets; the number counts up when a measure changes."""


def measure_similarity(
    features: Features,
    targets: Targets,
    net: nn.Module,
    *,
    random: Features | None = None,
    measured: Mapping[Taps, MeasuredProbe] | None = None,
    separation: bool = True,
    seed: int = 0,
) -> Similarity:
    """Measure what frozen features tell of similarity, and decide by the first rule that applies.

    In: features of N images and their targets (N,); the network that gave them; optionally the features that
    the same network gives with random weights, and what measure_stages made of the features already. Without
    `separation`, how well stages tell the classes apart is measured only where nothing else decides.
    Raises: as fit_probe.
    """
    drift = measure_drift(features.norms, stage_norms(net, list(features.norms)))
    evidence = {f"drift:{stage}": value for stage, value in drift.items()}
    if separation or not drift:
        probes = _each_alone(features, targets, seed, measured or {})
        evidence |= _separation(features, targets, probes)
    if random is not None:
        probes = _each_alone(features, targets, seed, measured or {})
        evidence |= _over_random(probes, _each_alone(random, targets, seed, {}))
    return _decide(drift, evidence)


def _each_alone(
    features: Features, targets: Targets, seed: int, measured: Mapping[Taps, MeasuredProbe]
) -> dict[str, MeasuredProbe]:
    """A probe on each stage and on the head's input, measured unless that was done already."""
    return {
        name: measured[name,] if (name,) in measured else measure_probe(values, targets, seed=seed)
        for name, values in tap_blocks(features).items()
    }


def _separation(
    features: Features, targets: Targets, probes: Mapping[str, MeasuredProbe]
) -> dict[str, Estimate]:
    """How well each stage alone separates the classes, and the top against the best below it."""
    evidence = {}
    for name, probe in probes.items():
        values = features.head_input if name == HEAD else features.stages[name]
        evidence[f"probe:{name}"] = probe.trial.accuracy
        evidence[f"neighbours:{name}"] = measure_neighbours(values, targets).accuracy
        evidence[f"h-score:{name}"] = measure_hscore(values, targets)
    earlier = [probe for name, probe in probes.items() if name != HEAD]
    if earlier:
        evidence["over earlier"] = gain(probes[HEAD].trial.hits, _best(earlier).trial.hits)
    return evidence


def _over_random(
    probes: Mapping[str, MeasuredProbe], others: Mapping[str, MeasuredProbe]
) -> dict[str, Estimate]:
    """The share of mistakes of random weights' best stage that the head's input avoids."""
    best = _best(list(others.values()))
    better = gain(probes[HEAD].trial.hits, best.trial.hits)
    wrong = max(1 - best.trial.accuracy.value, best.trial.accuracy.error)
    evidence = {f"random probe:{name}": probe.trial.accuracy for name, probe in others.items()}
    return evidence | {"over random": Estimate(better.value / wrong, better.error / wrong)}


def _decide(drift: Mapping[str, Estimate], evidence: Mapping[str, Estimate]) -> Similarity:
    if drift:
        stage, score = list(drift.items())[-1]
        text = f"the inputs of {stage} have drifted by {score} nats a channel from the weights' own"
        return _similarity(score, DRIFT, text, evidence, below=True)
    if "over random" in evidence:
        score = evidence["over random"]
        text = f"the top stage avoids {score} of the mistakes that random weights make"
        return _similarity(score, OVER_RANDOM, text, evidence)
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
    return max(probes, key=lambda probe: probe.trial.accuracy.value)
