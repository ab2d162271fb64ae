"""What a run says when its loss runs away."""

from __future__ import annotations

import torch

import zoo
from finetune.checks.rates import advise, propose_rate
from finetune.checks.subject import Subject, undisturbed
from finetune.experiment.setup import Setup
from finetune.records.plan import Plan
from zoo.errors import GraftError


def breakdown(setup: Setup, plan: Plan, device: torch.device, where: str, reason: str) -> GraftError:
    """The error that ends a run, with a learning rate that is tried out on its first weights.

    `where` says in which epoch and step, `reason` what the loss did.
    """
    start = setup.settings.weights
    net, _ = zoo.load(setup.spec, weights=None if start == "none" else start, seed=setup.settings.seed)
    setup.net.load_state_dict(net.state_dict())  # the net is lost anyway: this saves room for a second
    with undisturbed(device):
        proposed = propose_rate(Subject(setup, plan, device))
    return GraftError(
        f"training broke down in {where}: {reason}\n"
        f"  the rate was {plan.learning_rate:g}; try {advise(proposed, plan.learning_rate, low=False)}"
    )
