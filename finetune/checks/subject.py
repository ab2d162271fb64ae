"""What the checks examine: copies of a run's network, and a few of its training images."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

import zoo
from finetune.data.subset import read_rows, spread_rows
from finetune.engine.build import build_step
from finetune.engine.dead_units import count_dead
from finetune.engine.step import BatchPosition, Step
from finetune.experiment.setup import Setup
from finetune.optim.freeze import covers, freeze, set_training, use_stored_statistics
from finetune.optim.groups import rate_factor
from finetune.optim.schedules import SCHEDULES, Schedule
from finetune.records.plan import Plan

EXAMPLES = 16
"""Images of a single pass: enough for batch norms, and fast on a laptop."""

DETERMINISTIC: Mapping[str, object] = {
    "finetune.label_smoothing": 0.0,
    "finetune.mixup": 0.0,
    "finetune.cutmix": 0.0,
    "finetune.weight_noise": 0.0,
    "finetune.input_noise": 0.0,
    "finetune.adversarial": "none",
    "finetune.distill": "none",
    "finetune.ema": "none",
    "finetune.ensemble": "none",
    "finetune.schedule": "constant",
}
"""The recipe without what makes the loss of the same images differ from step to step."""


@dataclass(frozen=True)
class FirstPass:
    """The results of one pass over EXAMPLES images: loss, gradients by parameter, dead units by activation.

    A parameter without a gradient has None; `dead` is as `count_dead` returns it.
    """

    loss: float
    gradients: Mapping[str, Tensor | None]
    dead: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Subject:
    """A run before its first step. All methods work on copies and do not change the run."""

    setup: Setup
    plan: Plan
    device: torch.device

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.setup.classes)

    @property
    def chance_loss(self) -> float:
        """The loss of a network that knows nothing."""
        return self.setup.task.chance_loss(self.classes)

    def net(self) -> nn.Module:
        """Return a copy of the network, frozen and in training mode as the plan says, without dropout."""
        net = copy.deepcopy(self.setup.net).to(self.device)
        freeze(net, self.plan.trains)
        use_stored_statistics(net, self.plan.batch_norm == "stored")
        set_training(net)
        disable_dropout(net)
        return net

    def images(self, count: int = EXAMPLES) -> tuple[Tensor, Tensor]:
        """Return the same training images at each call, not augmented, evenly from all classes.

        Out: uint8 (N, 3, h, w) and their targets (N, …), N at most `count`.
        """
        return read_rows(self.setup.train, self.rows(count))

    def rows(self, count: int) -> NDArray[np.int64]:
        """Return the indices of these images in the training split."""
        return spread_rows(self.setup.train.split.strata, count, seed=self.setup.settings.seed)

    def batch(self, count: int = EXAMPLES) -> tuple[Tensor, Tensor]:
        """Return the images normalised and on the device: float (N, C, h, w), and their targets (N, …)."""
        pixels, targets = self.images(count)
        inputs = self.setup.preprocess.to(self.device).normalise(pixels.to(self.device))
        return inputs, targets.to(self.device)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the task's loss, (), without regularisation."""
        return self.setup.task.evaluation_loss()(logits, targets)

    @cached_property
    def first_pass(self) -> FirstPass:
        """One forward and backward pass before the first step, for all parameters that should train."""
        net = self.net()
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(name in self.trainable)
        inputs, targets = self.batch()
        with count_dead(net) as dead:
            loss = self.loss(net(inputs), targets)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
        return FirstPass(float(loss.detach()), gradients, dict(dead))

    @cached_property
    def trainable(self) -> frozenset[str]:
        """Names of the parameters that should train.

        Of pretrained ones those that the plan trains at a rate above 0; of those with random weights all,
        since a random layer that stays as it is, is of no use.
        """
        names = [name for name, _ in self.setup.net.named_parameters()]
        origin, rates = self.setup.origin, self.setup.settings.stage_rates
        if origin is None:
            return frozenset(names)
        random = {*origin.audit.fresh, *origin.audit.missing}
        planned = {
            name
            for name in names
            if any(covers(prefix, name) for prefix in self.plan.trains) and rate_factor(name, rates) > 0
        }
        return frozenset(planned | random.intersection(names))

    def trial(self, *, learning_rate: float) -> Step:
        """Return a step of the recipe at a constant learning rate, on a copy of the network.

        Optimiser, rates by layer, decay, penalties and clipping are the run's; what is random is off.
        """
        net = self.net()
        setup = replace(self.setup, net=net, spec=zoo.override(self.setup.spec, DETERMINISTIC))
        step = build_step(setup, replace(self.plan, learning_rate=learning_rate, epochs=1), Accelerator())
        set_training(net)
        disable_dropout(net)
        return replace(step, schedule=Schedule(SCHEDULES.read_call("constant"), 1, 1))


def position(step: int) -> BatchPosition:
    """Return the position of a trial's batch: each is followed by an update."""
    return BatchPosition(epoch=0, batch=step, step=step, last=True)


def disable_dropout(net: nn.Module) -> None:
    """Set every kind of dropout to evaluation mode: Dropout, DropBlock, DropPath, those of timm."""
    for module in net.modules():
        if type(module).__name__.startswith("Drop"):
            module.eval()
