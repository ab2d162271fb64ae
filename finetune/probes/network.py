"""Features of a run's network, and its head fitted as a linear probe.

A head that starts from a probe is after Kumar et al. 2022, "Fine-tuning can distort pretrained features",
arXiv:2202.10054.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from finetune.data.subset import subset
from finetune.experiment.setup import Setup
from finetune.features.cache import FeatureCache, find_folder
from finetune.features.extract import Features, extract_features, feature_key
from finetune.probes.folds import Rows, stratified_sample
from finetune.probes.probe import Probe, fit_probe, write_head
from finetune.records.plan import Plan
from finetune.strategies import find_strategy
from zoo.errors import GraftError

ENOUGH_FOR_SIMILARITY = 500
"""Images from which similarity alone is measured: its standard error is far below its limit by then."""


def sample_rows(setup: Setup, *, probes: bool) -> Rows:
    """Return the training images that a plan is chosen by; fewer where only similarity is measured."""
    settings, most = setup.settings, setup.settings.evidence_images
    limit = most if probes else min(most, ENOUGH_FOR_SIMILARITY)
    return stratified_sample(setup.splits.train.targets, limit, seed=settings.seed)


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


def start_head(setup: Setup, plan: Plan) -> None:
    """Fit the head of the setup's network before training by gradient, where the plan says so.

    Raises: as fit_head.
    """
    if plan.head == "probe" and not find_strategy(plan.strategy).probe:
        fit_head(setup)


def fit_head(setup: Setup) -> Probe:
    """Fit a probe to the training images and write it into the head of the setup's network.

    Raises: GraftError when the head is not a linear layer, and as fit_probe.
    """
    head = setup.net.get_submodule(setup.anatomy.head)
    if not isinstance(head, nn.Linear):
        raise GraftError(
            f"{setup.spec.name}: a linear probe needs a linear head; {setup.anatomy.head} is a "
            f"{type(head).__name__}\n  expected: strategy stage_probe, or finetune.head fresh"
        )
    targets = setup.train.split.targets
    features = network_features(setup).head_input
    probe = fit_probe(features, targets, classes=len(setup.classes), seed=setup.settings.seed)
    if setup.settings.balance is not None:
        probe = probe.balance(targets)
    write_head(probe, head)
    return probe
