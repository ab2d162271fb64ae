"""The error message of a run whose loss diverged."""

from __future__ import annotations

import torch

import zoo
from finetune.checks.rates import advise, propose_rate
from finetune.checks.subject import Subject, undisturbed
from finetune.experiment.setup import Setup
from finetune.records.plan import Plan
from zoo.errors import GraftError


def divergence_error(setup: Setup, plan: Plan, device: torch.device, where: str, reason: str) -> GraftError:
    """Return the error that ends a run, with a learning rate that was tried on its first weights.

    In: `where` names the epoch and step, `reason` says what the loss did. The setup's network, which is of no
    more use, is reset to its first weights.
    """
    start = setup.settings.weights
    net, _ = zoo.load(setup.spec, weights=None if start == "none" else start, seed=setup.settings.seed)
    setup.net.load_state_dict(net.state_dict())  # needs less memory than a second network
    with undisturbed(device):
        proposed = propose_rate(Subject(setup, plan, device))
    rate = plan.learning_rate
    return GraftError(
        f"training diverged in {where}: {reason}\n"
        f"  the learning rate was {rate:g}; try {advise(proposed, rate, low=False)}"
    )
