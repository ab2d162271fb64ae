"""What the frozen network shows about the training images: the numbers that a plan is chosen by."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from finetune.data.subset import subset
from finetune.experiment.setup import Setup
from finetune.features.extract import Features
from finetune.features.taps import HEAD
from finetune.probes.classifier import keep_choices
from finetune.probes.folds import Rows
from finetune.probes.network import network_features, sample_rows
from finetune.probes.probe import MeasuredProbe
from finetune.probes.similarity import measure_similarity
from finetune.probes.stage_select import TAPS_OF_FITTER, Taps, measure_stages, top_taps
from finetune.records.estimate import Correct
from finetune.records.evidence import Evidence, Forecast
from finetune.strategies import STRATEGIES

Probes = Mapping[Taps, MeasuredProbe]


@dataclass(frozen=True)
class Measurements:
    """Size and similarity of the data, and how well linear classifiers do on it.

    `reasons` are the numbers in sentences. `rows` are the training images that were measured. For each
    strategy that fits a linear classifier, `correct` (N,) holds its held-out answers on these images and
    `forecasts` what it costs; both are empty without probes. `depth` is the number of stages above the one
    that separates the classes best, at least one; None where that was not measured.
    """

    evidence: Evidence
    similar: bool
    reasons: tuple[str, ...]
    rows: Rows
    correct: Mapping[str, Correct] = field(default_factory=dict)
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)
    depth: int | None = None

    @property
    def drift(self) -> float:
        """The drift of the top stage with a batch norm, in nats per channel; infinite where there is none."""
        found = [value for name, value in self.evidence.measured.items() if name.startswith("drift:")]
        return found[-1].value if found else math.inf

    def sample(self, setup: Setup) -> Setup:
        """Return the setup with only the measured images to train on."""
        if len(self.rows) == len(setup.train):
            return setup
        return replace(setup, train=subset(setup.train, self.rows, seed=setup.settings.seed))


def measure_evidence(setup: Setup, *, probes: bool = True) -> Measurements:
    """Pass the training images, or a sample of them, through the frozen network once and measure the data.

    Without `probes`, only similarity is measured, where the spec does not state it, and on fewer images.
    Raises: GraftError where no image can be held out: fewer than two classes, or one image in each.
    """
    evidence, stated, targets = count_images(setup), setup.data.similarity, setup.train.split.targets
    seed = setup.settings.seed
    rows = sample_rows(setup, probes=probes)
    reasons = [f"{evidence.images} training images, {evidence.median_class:g} in the median class"]
    if len(rows) < len(setup.train):
        reasons.append(f"the measurements below are from a sample of {len(rows)} images")
    if stated != "auto":
        reasons.append(f"data.similarity is {stated}")
        if not probes:
            return Measurements(evidence, stated == "similar", tuple(reasons), rows)
    features, start = network_features(setup, rows), time.perf_counter()
    measured: Probes = {}
    if probes:
        measured = measure_stages(features, targets[rows], classes=len(setup.classes), seed=seed)
        keep_choices(setup, rows, measured)
        top = measured[HEAD,].cv.accuracy
        reasons.append(f"a linear classifier on the top stage has held-out accuracy {top.percent}")
    fitting_s = time.perf_counter() - start
    similarity = measure_similarity(features, targets[rows], setup.net, measured=measured, seed=seed)
    if stated == "auto":
        reasons.append(f"similarity: {similarity.reason}" + ("" if similarity.clear else " (a close call)"))
    found = Measurements(
        replace(evidence, measured_images=len(rows), measured=similarity.evidence),
        (similarity.label if stated == "auto" else stated) == "similar",
        tuple(reasons),
        rows,
    )
    return _with_probes(found, setup, features, measured, fitting_s) if probes else found


def count_images(setup: Setup) -> Evidence:
    """Return how many training images there are: in all, in the smallest class, in the median class."""
    train, classes = setup.splits.train, len(setup.classes)
    return Evidence(len(train), min(train.counts(classes)), train.median(classes))


def _with_probes(
    found: Measurements, setup: Setup, features: Features, measured: Probes, fitting_s: float
) -> Measurements:
    """Add the held-out answers of each linear classifier, and the time for its features and fits."""
    speed = features.computed / features.seconds
    reading_s = len(setup.train) / speed if speed else features.seconds
    correct, forecasts = {}, {}
    for name, strategy in STRATEGIES.items():
        if strategy.probe:
            choose = TAPS_OF_FITTER[strategy.fitter]
            correct[name] = measured[choose(measured)].cv.correct
            cost_s = reading_s + (fitting_s / len(measured) if choose is top_taps else fitting_s)
            forecasts[name] = Forecast(1, round(speed, 1), round(cost_s / 60, 4))
    return replace(found, correct=correct, forecasts=forecasts, depth=_find_depth(setup, measured))


def _find_depth(setup: Setup, measured: Probes) -> int:
    """Return how many stages lie above the one with the lowest log loss; the head's input is the top one."""
    alone = {taps[0]: probe.cv.log_loss for taps, probe in measured.items() if len(taps) == 1}
    best, stages = min(alone, key=lambda name: alone[name]), setup.anatomy.stages
    return 1 if best == HEAD else max(len(stages) - 1 - stages.index(best), 1)
