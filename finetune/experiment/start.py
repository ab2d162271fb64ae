"""What a plan starts from: the pretrained weights, or random ones where it does without."""

from __future__ import annotations

from dataclasses import replace

import zoo
from finetune.experiment.setup import Setup
from finetune.records.plan import Plan
from finetune.strategies import find_strategy


def prepare_start(setup: Setup, plan: Plan) -> Setup:
    """The setup as the plan wants it: with a network as it is first drawn, if the plan needs no weights."""
    if setup.origin is None or find_strategy(plan.strategy).pretrained:
        return setup
    net, _ = zoo.load(setup.spec, weights=None, seed=setup.settings.seed)
    spec = zoo.override(setup.spec, {"finetune.weights": "none"})
    return replace(setup, spec=spec, net=net, origin=None, no_weights="the plan does without them")
