"""Fitting the default learning rate to the pretrained weights, by the size of one gradient.

The norms of published weights differ by large factors. Where a norm layer follows, a step changes large
weights less, by the square of that factor. The ratio of an update to its weights should be similar in all
networks.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cached_property
from statistics import median

import numpy as np
import torch
from accelerate import PartialState

from finetune.data.subset import read_rows, spread_rows
from finetune.experiment.setup import Setup
from finetune.optim.freeze import covers, set_training, use_stored_statistics
from finetune.optim.groups import decayed_names
from finetune.records.plan import Plan
from finetune.strategies import find_strategy

IMAGES = 16
USUAL = 0.08
"""Norm of the gradient divided by that of the weights, in the median layer, that the default rates suit."""
SAME_WITHIN = 3.0
"""Factors below this do not change the rate: sets of images differ by as much."""
MOST = 100.0


class Rates:
    """The learning rates of a setup's plans. The factor on the default ones is measured when it is needed."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def suit(self, plan: Plan) -> Plan:
        """Return the plan with a learning rate that suits the weights, unless the spec states one."""
        settings = self._setup.settings
        given = settings.learning_rate != "auto" or settings.optimizer.op != "sgd"
        if given or self._setup.origin is None or not find_strategy(plan.strategy).fine_tunes:
            return plan
        return scale_rate(plan, self._factor)

    @cached_property
    def _factor(self) -> float:
        return rate_scale(self._setup)


def scale_rate(plan: Plan, factor: float) -> Plan:
    """Return the plan with its learning rate multiplied by the factor."""
    if factor == 1:
        return plan
    reason = f"learning rates are {factor:g} times the default, to suit these weights"
    return replace(
        plan,
        learning_rate=factor * plan.learning_rate,
        reasons=(*plan.reasons, reason),
        evidence=replace(plan.evidence, rate_scale=factor),
    )


def rate_scale(setup: Setup) -> float:
    """Return the factor on the default learning rates of pretrained weights; 1 for weights of usual size.

    It is measured in one backward pass of a few training images through a copy of the network.
    """
    device = PartialState().device
    net = copy.deepcopy(setup.net).to(device)
    use_stored_statistics(net, setup.settings.batch_norm == "stored")
    set_training(net)
    rows = spread_rows(setup.train.split.strata, min(IMAGES, len(setup.train)), seed=setup.settings.seed)
    images, targets = read_rows(setup.train, np.sort(rows))
    with torch.random.fork_rng():
        logits = net(setup.preprocess.to(device).normalise(images.to(device)))
        loss = setup.task.evaluation_loss()(logits.float(), targets.to(device))
        loss.backward()  # type: ignore[no-untyped-call]
    weights, head = decayed_names(net), setup.anatomy.head
    ratios = [
        float(parameter.grad.norm() / parameter.detach().norm())
        for name, parameter in net.named_parameters()
        if name in weights and not covers(head, name) and parameter.grad is not None and parameter.any()
    ]
    usual = [ratio for ratio in ratios if ratio > 0]
    if not usual:
        return 1.0
    factor = USUAL / median(usual)
    if 1 / SAME_WITHIN < factor < SAME_WITHIN:
        return 1.0
    return float(f"{min(max(factor, 1 / MOST), MOST):.1g}")
