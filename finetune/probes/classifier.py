"""The linear classifier of a run: chosen by cross-validation once, for the plan and for the fit.

What was chosen is kept in the cache of features, so that the fit after the plan, and the next run, need no
cross-validation. A head that starts from a probe is after Kumar et al. 2022, "Fine-tuning can distort
pretrained features", arXiv:2202.10054.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from accelerate import PartialState
from pydantic import TypeAdapter
from torch import nn

from finetune.experiment.setup import Setup
from finetune.features.cache import FeatureCache
from finetune.features.extract import Features
from finetune.features.taps import HEAD
from finetune.probes.folds import Rows
from finetune.probes.network import feature_cache, network_features, sample_rows
from finetune.probes.probe import Chosen, MeasuredProbe, Probe, fit_chosen, measure_probe, write_head
from finetune.probes.stage_select import TAPS_OF_FITTER, StageFit, Taps, measure_stages, tap_blocks
from finetune.records.plan import Plan
from finetune.strategies import find_strategy
from zoo.errors import GraftError

VERSION = 1
"""Increased when stages or penalties are chosen in another way, so that older choices are not used."""


@dataclass(frozen=True)
class Choice:
    """What cross-validation chose: the stages that the classifier reads, and how it is fitted."""

    taps: Taps
    probe: Chosen


CHOICE = TypeAdapter(Choice)


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
    probe = fit_classifier(setup, "linear_probe").probe
    write_head(probe, head)
    return probe


def fit_classifier(setup: Setup, fitter: str) -> StageFit:
    """Fit the linear classifier of that fitter, a key of TAPS_OF_FITTER, to the training images.

    The stages are compared on `finetune.evidence_images` images at most; the penalty is chosen on all.
    Raises: as fit_probe.
    """
    features, targets, classes = network_features(setup), setup.train.split.targets, len(setup.classes)
    cache, name = feature_cache(setup), _name(setup, np.arange(len(targets)), fitter)
    known = cache.load_note(name, CHOICE.validate_json)
    if known is None:
        taps, measured = _measure(setup, features, fitter, cache)
        cache.save_note(name, _to_json(taps, measured))
        probe = measured.fit()
    else:
        blocks, taps = tap_blocks(features), known.taps
        probe = fit_chosen([blocks[name] for name in taps], targets, known.probe, classes=classes)
    balanced = setup.settings.balance is not None
    return StageFit(taps, probe.balance(targets) if balanced else probe)


def keep_choices(setup: Setup, rows: Rows, measured: Mapping[Taps, MeasuredProbe]) -> None:
    """Keep what each fitter takes of the classifiers that were measured on these training images."""
    cache = feature_cache(setup)
    for fitter, choose in TAPS_OF_FITTER.items():
        taps = choose(measured)
        cache.save_note(_name(setup, rows, fitter), _to_json(taps, measured[taps]))


def _measure(
    setup: Setup, features: Features, fitter: str, cache: FeatureCache
) -> tuple[Taps, MeasuredProbe]:
    """Return the stages that the fitter takes, and their probe, cross-validated on all training images."""
    targets, classes, seed = setup.train.split.targets, len(setup.classes), setup.settings.seed
    rows = sample_rows(setup, probes=True)
    taps: Taps = (HEAD,)
    known = cache.load_note(_name(setup, rows, fitter), CHOICE.validate_json)
    if known is not None:
        taps = known.taps
    elif fitter != "linear_probe":  # which always reads the head's input
        measured = measure_stages(features.take(rows), targets[rows], classes=classes, seed=seed)
        taps = TAPS_OF_FITTER[fitter](measured)
        if len(rows) == len(targets):
            return taps, measured[taps]
    blocks = tap_blocks(features)
    return taps, measure_probe([blocks[name] for name in taps], targets, classes=classes, seed=seed)


def _to_json(taps: Taps, measured: MeasuredProbe) -> str:
    return CHOICE.dump_json(Choice(taps, measured.chosen)).decode()


def _name(setup: Setup, rows: Rows, fitter: str) -> str:
    """Return a hash of all that the choice depends on, except what the cache's own key holds."""
    split = setup.train.split
    content = [
        VERSION,
        fitter,
        setup.features_precision.name,
        PartialState().device.type,
        [split.images[row].digest() for row in rows],
        split.targets[rows].tolist(),
        len(setup.classes),
        setup.settings.seed,
    ]
    return f"classifier-{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]}"
