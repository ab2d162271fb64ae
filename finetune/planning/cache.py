"""Cached plans: a plan is not chosen again for the same images, labels, weights and spec.

The location of the images does not matter: a folder that was moved, or a link to it, has the same plan.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

from accelerate import PartialState

import zoo
from finetune.config.data import LOCATION_KEYS
from finetune.experiment.setup import Setup
from finetune.planning.race.decision import MIN_GAIN, MIN_ROUND_GAIN
from finetune.planning.race.posterior import CLEAR
from finetune.planning.race.prior import MIN_SPREAD, NEAR, PRIOR, VARIANCE_FACTOR
from finetune.planning.race.race import ENOUGH_IMAGES, SHORT_RUN
from finetune.probes.network import feature_cache
from finetune.probes.similarity import RULES
from finetune.records.plan import PLAN, Plan
from finetune.strategies import STRATEGIES

VERSION = 8
"""Increased when plans are chosen or timed in another way, so that older ones are not used."""


def load_cached_plan(setup: Setup, *, compare: bool) -> Plan | None:
    """Return the plan that was chosen before; None where there is none, or where nothing is measured.

    A plan by race is the same with the forecasts of other strategies as without.
    """
    if not _is_measured(setup):
        return None
    cache, found = feature_cache(setup), None
    for wider in {True, compare} if setup.settings.strategy == "auto" else {compare}:
        found = found or cache.load_note(_name(setup, compare=wider), PLAN.validate_json)
    return found


def save_cached_plan(setup: Setup, plan: Plan, *, compare: bool) -> None:
    """Save the plan for the next time."""
    if _is_measured(setup):
        feature_cache(setup).save_note(_name(setup, compare=compare), plan.to_json())


def _is_measured(setup: Setup) -> bool:
    return setup.origin is not None and setup.task.probes


def _name(setup: Setup, *, compare: bool) -> str:
    """Return a hash of all that the choice depends on, except what the cache's own key holds."""
    train = setup.splits.train
    numbers = (SHORT_RUN, ENOUGH_IMAGES, MIN_GAIN, MIN_ROUND_GAIN, CLEAR, VARIANCE_FACTOR, MIN_SPREAD, NEAR)
    strategies = [
        [value for value in dataclasses.astuple(each) if not callable(value)] for each in STRATEGIES.values()
    ]
    content = [
        [VERSION, RULES, numbers, PRIOR.read_text(), strategies],
        PartialState().device.type,
        compare,
        zoo.override(setup.spec, {f"data.{key}": None for key in LOCATION_KEYS}).to_yaml(),
        len(setup.val),
        [image.digest() for image in train.images],
        train.targets.tolist(),
    ]
    return f"plan-{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]}"
