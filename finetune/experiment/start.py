"""The network that a plan starts from: the pretrained weights, or random ones."""

from __future__ import annotations

from dataclasses import replace

import zoo
from finetune.experiment.setup import Setup
from finetune.records.plan import Plan
from finetune.strategies import find_strategy


def prepare_start(setup: Setup, plan: Plan) -> Setup:
    """Return the setup for the plan: with random weights, if the plan's strategy needs no pretrained ones."""
    if setup.origin is None or find_strategy(plan.strategy).pretrained:
        return setup
    net, _ = zoo.load(setup.spec, weights=None, seed=setup.settings.seed)
    spec = zoo.override(setup.spec, {"finetune.weights": "none"})
    return replace(setup, spec=spec, net=net, origin=None, no_weights="the plan starts without weights")
