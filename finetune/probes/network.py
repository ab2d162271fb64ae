"""The frozen features of a run's training images."""

from __future__ import annotations

from dataclasses import replace

from finetune.data.subset import subset
from finetune.experiment.setup import Setup
from finetune.features.cache import FeatureCache, find_folder
from finetune.features.extract import Features, extract_features, feature_key
from finetune.probes.folds import Rows, stratified_sample

ENOUGH_FOR_SIMILARITY = 500
"""Images from which similarity alone is measured: its standard error is far below its limit by then."""


def sample_rows(setup: Setup, *, probes: bool) -> Rows:
    """Return the training images that a plan is chosen by; fewer where only similarity is measured."""
    settings, most = setup.settings, setup.settings.evidence_images
    limit = most if probes else min(most, ENOUGH_FOR_SIMILARITY)
    return stratified_sample(setup.train.split.targets, limit, seed=settings.seed)


def feature_cache(setup: Setup) -> FeatureCache:
    """Return the cache for features of this network with this preprocessing."""
    key = feature_key(setup.net, setup.anatomy.head, setup.preprocess)
    return FeatureCache(key, find_folder(setup.settings.cache))


def network_features(setup: Setup, rows: Rows | None = None) -> Features:
    """Return the features of the training images, or of these rows, not augmented; cached ones are read."""
    train = replace(setup.train, augment=None)
    if rows is not None and len(rows) < len(train):
        train = subset(train, rows, seed=0)
    return extract_features(
        setup.net,
        train,
        setup.preprocess,
        head=setup.anatomy.head,
        stages=setup.anatomy.stages,
        precision=setup.features_precision,
        cache=feature_cache(setup),
        digests=[image.digest() for image in train.split.images],
    )
