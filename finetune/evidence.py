"""What the frozen network makes of the training images: the numbers that a plan is chosen by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from finetune.feature_cache import FeatureCache, default_folder
from finetune.features import Features, extract_features, feature_key
from finetune.probe import Probe, fit_probe
from finetune.setup import Setup


@dataclass(frozen=True)
class Evidence:
    """Size and similarity of the data, as numbers (`numbers`) and in words (`reasons`)."""

    images_a_class: float
    similar: bool
    numbers: Mapping[str, object]
    reasons: tuple[str, ...]
    features: Features


def measure_evidence(setup: Setup) -> Evidence:
    """One frozen pass over the training images, and what it tells of size and similarity."""
    features = network_features(setup)
    numbers, stated = count_images(setup), setup.data.similarity
    probe = head_probe(setup, features)
    similar = probe.accuracy.value > 0.5 if stated == "auto" else stated == "similar"
    reasons = (f"probe {probe.accuracy}",)
    return Evidence(float(numbers["median_class"]), similar, numbers, reasons, features)  # type: ignore[arg-type]


def network_features(setup: Setup) -> Features:
    """Features of the training images, not augmented: one frozen pass, and none for images that are known."""
    train = replace(setup.train, augment=None)
    folder = setup.settings.cache
    cache = FeatureCache(
        feature_key(setup.net, setup.anatomy.head, setup.preprocess),
        Path(folder).expanduser() if folder else default_folder(),
    )
    return extract_features(
        setup.net,
        train,
        setup.preprocess,
        head=setup.anatomy.head,
        stages=setup.anatomy.stages,
        cache=cache,
        digests=[image.digest() for image in setup.splits.train.images],
    )


def head_probe(setup: Setup, features: Features) -> Probe:
    """A linear classifier on what the head is given."""
    return fit_probe(
        features.head_input, setup.splits.train.targets, classes=len(setup.classes), seed=setup.settings.seed
    )


def count_images(setup: Setup) -> dict[str, object]:
    """How many training images there are: in all, in the smallest class, in the median class."""
    counts = np.array(setup.splits.train.counts(len(setup.classes)))
    return {
        "images": int(counts.sum()),
        "smallest_class": int(counts.min()),
        "median_class": float(np.median(counts)),
    }
