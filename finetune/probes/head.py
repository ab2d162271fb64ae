"""Where the head starts: a linear classifier on frozen features, written into the network before it is tuned.

After Kumar et al. 2022, "Fine-tuning can distort pretrained features", arXiv:2202.10054.
"""

from __future__ import annotations

from torch import nn

from finetune.experiment.setup import Setup
from finetune.planning.measure import network_features
from finetune.probes.probe import Probe, fit_probe, probe_head
from finetune.records.plan import Plan
from finetune.strategies import find_strategy
from zoo.errors import GraftError


def start_head(setup: Setup, plan: Plan) -> None:
    """Fit the head of the setup's network before it is tuned, where the plan says so. Raises: as fit_head."""
    if plan.head == "probe" and not find_strategy(plan.strategy).probe:
        fit_head(setup)


def fit_head(setup: Setup) -> Probe:
    """Fit a probe to the training images, and write it into the head of the setup's network.

    Raises: GraftError when the head is no linear layer, and as fit_probe.
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
    probe_head(probe, head)
    return probe
