"""What the frozen network makes of the training images: the numbers that a plan is chosen by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from finetune.ensembles.regroup import sample
from finetune.evidence.folds import Rows, stratified_sample
from finetune.evidence.similarity import RULES, Similarity, measure_similarity, similarity_from
from finetune.features.cache import FeatureCache, default_folder
from finetune.features.extract import Features, extract_features, feature_key
from finetune.setup import Setup


@dataclass(frozen=True)
class Evidence:
    """Size and similarity of the data, as numbers (`numbers`) and in words (`reasons`)."""

    images_a_class: float
    similar: bool
    numbers: Mapping[str, object]
    reasons: tuple[str, ...]


def measure_evidence(setup: Setup) -> Evidence:
    """One frozen pass over the training images, or a sample of them, and what it tells of the data."""
    sizes, stated = count_images(setup), setup.data.similarity
    median = setup.splits.train.median(len(setup.classes))
    size = f"{sizes['images']} training images, {median:g} in the median class"
    if stated != "auto":
        return Evidence(median, stated == "similar", sizes, (size, f"data.similarity says {stated}"))
    rows = stratified_sample(
        setup.splits.train.targets, setup.settings.evidence_images, seed=setup.settings.seed
    )
    likeness = _likeness(setup, rows)
    top = likeness.evidence["probe:head"]
    of_them = "" if len(rows) == len(setup.train) else f", a sample of {len(rows)}"
    words = (
        f"a linear classifier on the top stage is right on {top} of the images "
        f"left out of its training{of_them}",
        f"similarity: {likeness.rule}" + ("" if likeness.clear else " (a close call)"),
    )
    measured = {name: asdict(value) for name, value in likeness.evidence.items()}
    sizes |= {"looked_at": len(rows), "measured": measured}
    return Evidence(median, likeness.label == "similar", sizes, (size, *words))


def network_features(setup: Setup, rows: Rows | None = None) -> Features:
    """Features of the training images, or these of them, not augmented; known images cost no pass."""
    train = replace(setup.train, augment=None)
    if rows is not None and len(rows) < len(train):
        train = sample(train, rows, seed=0)
    return extract_features(
        setup.net,
        train,
        setup.preprocess,
        head=setup.anatomy.head,
        stages=setup.anatomy.stages,
        cache=_cache(setup),
        digests=[image.digest() for image in train.split.images],
    )


def _likeness(setup: Setup, rows: Rows) -> Similarity:
    """Measured once for the same network, images and labels."""
    seed, targets = setup.settings.seed, setup.splits.train.targets[rows]
    images = [setup.splits.train.images[row].digest() for row in rows]
    content = json.dumps([RULES, seed, setup.anatomy.stages, images, targets.tolist()])
    cache, name = _cache(setup), f"similarity-{hashlib.sha256(content.encode()).hexdigest()[:32]}"
    known = cache.recall(name, similarity_from)
    if known is not None:
        return known
    likeness = measure_similarity(network_features(setup, rows), targets, setup.net, seed=seed)
    cache.note(name, asdict(likeness))
    return likeness


def _cache(setup: Setup) -> FeatureCache:
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
