"""What the frozen network makes of the training images: the numbers that a plan is chosen by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from finetune.feature_cache import FeatureCache, default_folder
from finetune.features import Features, extract_features, feature_key
from finetune.setup import Setup
from finetune.similarity import measure_similarity


@dataclass(frozen=True)
class Evidence:
    """Size and similarity of the data, as numbers (`numbers`) and in words (`reasons`)."""

    images_a_class: float
    similar: bool
    numbers: Mapping[str, object]
    reasons: tuple[str, ...]


def measure_evidence(setup: Setup) -> Evidence:
    """One frozen pass over the training images, and what it tells of size and similarity."""
    sizes, stated = count_images(setup), setup.data.similarity
    median = setup.splits.train.median(len(setup.classes))
    size = f"{sizes['images']} training images, {median:g} in the median class"
    if stated != "auto":
        return Evidence(median, stated == "similar", sizes, (size, f"data.similarity says {stated}"))
    features = network_features(setup)
    likeness = measure_similarity(features, setup.splits.train.targets, setup.net, seed=setup.settings.seed)
    top = likeness.evidence["probe:head"]
    words = (
        f"a linear classifier on the top stage is right on {top} of the images left out of its training",
        f"similarity: {likeness.rule}" + ("" if likeness.clear else " (a close call)"),
    )
    measured = {name: asdict(value) for name, value in likeness.evidence.items()}
    return Evidence(median, likeness.label == "similar", sizes | {"measured": measured}, (size, *words))


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


def count_images(setup: Setup) -> dict[str, object]:
    """How many training images there are: in all, in the smallest class, in the median class."""
    classes = len(setup.classes)
    train = setup.splits.train
    return {
        "images": len(train),
        "smallest_class": min(train.counts(classes)),
        "median_class": train.median(classes),
    }
