"""How the learning rate is fitted to the weights at hand: by how much one gradient would change them.

Published weights differ in norm by factors, and where norms follow, a step changes large weights by the
square of that factor less. What should be alike from network to network is an update beside its weight.
"""

from __future__ import annotations

import copy
from statistics import median

import numpy as np
import torch
from accelerate import PartialState

from finetune.data.subset import read_rows, spread_rows
from finetune.experiment.setup import Setup
from finetune.optim.freeze import covers
from finetune.optim.groups import decayed_names

IMAGES = 16
USUAL = 0.08
"""Gradient beside weight, by length, in the median layer of weights that the default rates suit."""
SAME_WITHIN = 3.0
"""A factor smaller than this is no more than one set of images differs from another: the rate stays."""
MOST = 100.0


def rate_scale(setup: Setup) -> float:
    """What to multiply the default learning rates of pretrained weights by; 1 for weights of usual size.

    One backward pass of a few training images through a copy of the network, its head as it stands.
    """
    device = PartialState().device
    net = copy.deepcopy(setup.net).to(device).train()
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
