"""A plan that was chosen once is not chosen again for the same images, labels, weights and spec.

Where the images lie does not count: a folder that was moved, or a link to it, is the same.
"""

from __future__ import annotations

import hashlib
import json

from accelerate import PartialState

import zoo
from finetune.config.data import LOCATION_KEYS
from finetune.experiment.setup import Setup
from finetune.planning.measure import feature_cache
from finetune.planning.race.belief import CLEAR
from finetune.planning.race.experience import LEAST_SPREAD, SEEN, WIDER
from finetune.planning.race.race import ASKED, SHARE
from finetune.planning.race.verdict import ROUND_WORTH, WORTH
from finetune.probes.similarity import RULES
from finetune.records.plan import Plan, plan_from

VERSION = 4
"""Counts up when plans come to be chosen or timed in another way, so that older ones are forgotten."""


def recall_plan(setup: Setup, *, compare: bool) -> Plan | None:
    """The plan as it was chosen before; None where it was not, or where there is nothing to measure."""
    if not _measured(setup):
        return None
    return feature_cache(setup).recall(_name(setup, compare=compare), plan_from)


def keep_plan(setup: Setup, plan: Plan, *, compare: bool) -> None:
    """Keep the plan for the next time."""
    if _measured(setup):
        feature_cache(setup).note(_name(setup, compare=compare), json.loads(plan.to_json()))


def _measured(setup: Setup) -> bool:
    return setup.origin is not None and setup.task.probes


def _name(setup: Setup, *, compare: bool) -> str:
    """Names all that the choice hangs on, the cache's own key (network, weights, preprocessing) aside."""
    train = setup.splits.train
    content = [
        [
            VERSION,
            RULES,
            SHARE,
            ASKED,
            WORTH,
            ROUND_WORTH,
            CLEAR,
            WIDER,
            LEAST_SPREAD,
            SEEN.read_text(),
        ],
        PartialState().device.type,
        compare or setup.settings.strategy == "auto",
        zoo.override(setup.spec, {f"data.{key}": None for key in LOCATION_KEYS}).to_yaml(),
        len(setup.val),
        [image.digest() for image in train.images],
        train.targets.tolist(),
    ]
    return f"plan-{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]}"
