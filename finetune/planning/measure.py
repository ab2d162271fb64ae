"""What the frozen network makes of the training images: the numbers that a plan is chosen by."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from finetune.data.subset import subset
from finetune.experiment.setup import Setup
from finetune.features.cache import FeatureCache, default_folder
from finetune.features.extract import Features, extract_features, feature_key
from finetune.features.taps import HEAD
from finetune.planning.forecast import Forecast
from finetune.probes.folds import Rows, stratified_sample
from finetune.probes.probe import MeasuredProbe
from finetune.probes.similarity import measure_similarity
from finetune.probes.stage_select import Taps, best_taps, measure_stages
from finetune.records.estimate import Hits

Measured = Mapping[Taps, MeasuredProbe]


@dataclass(frozen=True)
class Evidence:
    """Size and similarity of the data, as numbers (`numbers`) and in words (`reasons`).

    `rows` are the training images that were looked at. For each probe, `hits` (N,) says which of them it
    answered rightly when they were left out, and `forecasts` what it costs; both are empty where no probe was
    asked for. `depth` is the number of stages above the one that separates the classes best, at least one;
    None where that was not measured.
    """

    images_a_class: float
    similar: bool
    numbers: Mapping[str, object]
    reasons: tuple[str, ...]
    rows: Rows
    hits: Mapping[str, Hits]
    forecasts: Mapping[str, Forecast]
    depth: int | None

    def sampled(self, setup: Setup) -> Setup:
        """The setup with the images that were looked at and no others to train on."""
        if len(self.rows) == len(setup.train):
            return setup
        return replace(setup, train=subset(setup.train, self.rows, seed=setup.settings.seed))


def measure_evidence(setup: Setup, *, probes: bool = True) -> Evidence:
    """One frozen pass over the training images, or a sample of them, and what it tells of the data.

    Without `probes` nothing is measured but how similar the data is, where the spec does not state it.
    Raises: GraftError where no image can be left out: fewer than two classes, or one image in each.
    """
    sizes, stated, targets = count_images(setup), setup.data.similarity, setup.splits.train.targets
    median, seed = setup.splits.train.median(len(setup.classes)), setup.settings.seed
    rows = stratified_sample(targets, setup.settings.evidence_images, seed=seed)
    reasons = [f"{sizes['images']} training images, {median:g} in the median class"]
    if len(rows) < len(setup.train):
        reasons.append(f"what follows was measured on a sample of {len(rows)}")
    if stated != "auto":
        reasons.append(f"data.similarity says {stated}")
    bare = Evidence(median, stated == "similar", sizes, tuple(reasons), rows, {}, {}, None)
    if stated != "auto" and not probes:
        return bare
    features, start = network_features(setup, rows), time.perf_counter()
    measured: Measured = {}
    if probes:
        measured = measure_stages(features, targets[rows], classes=len(setup.classes), seed=seed)
        top = measured[HEAD,].trial.accuracy
        reasons.append(f"a linear classifier on the top stage is right on {top} of the images left out")
    fitting = time.perf_counter() - start
    likeness = measure_similarity(
        features, targets[rows], setup.net, measured=measured, separation=probes, seed=seed
    )
    if stated == "auto":
        reasons.append(f"similarity: {likeness.rule}" + ("" if likeness.clear else " (a close call)"))
    found = {name: asdict(value) for name, value in likeness.evidence.items()}
    bare = replace(
        bare,
        similar=likeness.label == "similar" if stated == "auto" else bare.similar,
        numbers=sizes | {"looked_at": len(rows), "measured": found},
        reasons=tuple(reasons),
    )
    return _with_probes(bare, setup, features, measured, fitting) if probes else bare


def _with_probes(
    evidence: Evidence, setup: Setup, features: Features, measured: Measured, fitting: float
) -> Evidence:
    hits = {
        "linear_probe": measured[HEAD,].trial.hits,
        "stage_probe": measured[best_taps(measured)].trial.hits,
    }
    forecasts = _forecasts(setup, features, fitting, len(measured))
    return replace(evidence, hits=hits, forecasts=forecasts, depth=_depth(setup, measured))


def _depth(setup: Setup, measured: Measured) -> int:
    """How many stages lie above the one with the least log loss; the head's input counts as the top one."""
    alone = {taps[0]: probe.trial.log_loss for taps, probe in measured.items() if len(taps) == 1}
    best, stages = min(alone, key=lambda name: alone[name]), setup.anatomy.stages
    return 1 if best == HEAD else max(len(stages) - 1 - stages.index(best), 1)


def _forecasts(setup: Setup, features: Features, fitting: float, fits: int) -> dict[str, Forecast]:
    """What each probe costs: one pass over the images, and the fit as it was timed, one choice or all."""
    speed = features.precision.images_per_s.get(features.precision.name, 0.0)
    reading = len(setup.train) / speed if speed else features.seconds
    costs = {"linear_probe": reading + fitting / fits, "stage_probe": reading + fitting}
    return {name: Forecast(1, round(speed, 1), round(cost / 60, 2)) for name, cost in costs.items()}


def network_features(setup: Setup, rows: Rows | None = None) -> Features:
    """Features of the training images, or these of them, not augmented; known images cost no pass."""
    train = replace(setup.train, augment=None)
    if rows is not None and len(rows) < len(train):
        train = subset(train, rows, seed=0)
    return extract_features(
        setup.net,
        train,
        setup.preprocess,
        head=setup.anatomy.head,
        stages=setup.anatomy.stages,
        cache=feature_cache(setup),
        digests=[image.digest() for image in train.split.images],
    )


def feature_cache(setup: Setup) -> FeatureCache:
    """Where features of this network with this preprocessing are kept."""
    folder = setup.settings.cache
    return FeatureCache(
        feature_key(setup.net, setup.anatomy.head, setup.preprocess),
        Path(folder).expanduser() if folder else default_folder(),
    )


def count_images(setup: Setup) -> dict[str, object]:
    """How many training images there are: in all, in the smallest class, in the median class."""
    classes = len(setup.classes)
    train = setup.splits.train
    return {
        "images": len(train),
        "smallest_class": min(train.counts(classes)),
        "median_class": train.median(classes),
    }
