"""One step of training: what a batch does to the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from finetune.config import FinetuneSettings
from finetune.engine.gauge import Gauge
from finetune.features.lower import Lower
from finetune.losses.registry import Loss
from finetune.optim.freeze import covers
from finetune.optim.optimizers import set_rates
from finetune.optim.schedules import Schedule
from finetune.regularization.clip import clip_gradients
from finetune.regularization.distill import Teacher
from finetune.regularization.fgsm import adversarial_loss
from finetune.regularization.mixup import Mix
from finetune.regularization.noise import add_input_noise, weight_noise
from finetune.regularization.penalties import Penalty
from finetune.regularization.resizing import Resizing
from finetune.runtime.precision import Precision
from finetune.runtime.seeds import derive_seed, make_generator
from finetune.transforms.preprocess import Preprocess

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3


@dataclass(frozen=True)
class Place:
    """Where a batch stands: `batch` counts within the epoch, `step` the updates of the whole run."""

    epoch: int
    batch: int
    step: int
    last: bool
    """Whether the batch is the epoch's last, which ends an accumulation however short."""
    group: int = 1
    """How many batches are accumulated into the update that this one belongs to."""


@dataclass(frozen=True)
class Step:
    """Forward, loss, backward, clip, update; all parts on the accelerator's device.

    In place of uint8 images it may be given what the network's `lower` part makes of them, in floating
    point: then the part above it is all that is computed.

    Random draws depend on the seed and the place alone, so that a run that was broken off in the middle of
    an epoch goes on as if it had not been.
    """

    accelerator: Accelerator
    net: nn.Module
    optimizer: Optimizer
    schedule: Schedule
    loss: Loss
    preprocess: Preprocess
    precision: Precision
    settings: FinetuneSettings
    head: str
    mix: Mix | None
    penalty: Penalty
    ema: ModelEmaV3 | None
    teacher: Teacher | None
    resizing: Resizing | None = None
    lower: Lower | None = None
    gauge: Gauge = field(default_factory=Gauge)

    def __call__(
        self, images: Tensor, targets: Tensor, place: Place, damping: float = 1.0
    ) -> tuple[Tensor, bool]:
        """Learn from one batch.

        In: uint8 images (N, 3, h, w), or stored outputs (N, …), and their targets; `damping` multiplies the
        learning rate.
        Out: the loss, (), and whether the weights were updated (gradients may still be accumulating).
        """
        seed = (self.settings.seed, place.epoch, place.batch)
        torch.manual_seed(derive_seed(*seed))
        inputs, targets = self.inputs(images), targets.to(self.accelerator.device)
        if self.resizing is not None:
            inputs = self.precision.arrange(self.resizing(inputs, place.step))
        if self.mix is not None:
            inputs, targets = self.mix(inputs, targets, seed=derive_seed(*seed, "mix"))
        if self.settings.input_noise:
            inputs = add_input_noise(inputs, self.settings.input_noise, make_generator(*seed, "input noise"))
        with weight_noise(self.net, self.settings.weight_noise, make_generator(*seed, "weight noise")):
            loss = self._loss_of(self._network(self.net, images), inputs, targets)
            self.accelerator.backward(loss / place.group)
        updates = place.last or (place.batch + 1) % self.settings.accumulate == 0
        if updates:
            self._update(place.step, damping)
        return loss.detach(), updates

    def predict(self, images: Tensor) -> Tensor:
        """Logits for uint8 images (N, 3, h, w) or stored outputs (N, …), of the averaged weights if any.

        They are computed in training's precision.
        """
        with self.precision.context(self.accelerator.device):
            logits: Tensor = self._network(self.averaged(), images)(self.inputs(images))
        return logits

    def averaged(self) -> nn.Module:
        """The network that is validated and kept: the moving average where there is one."""
        net: nn.Module = self.accelerator.unwrap_model(self.net) if self.ema is None else self.ema.module
        return net

    def rate(self, step: int) -> float:
        """What the schedule multiplies learning rates by."""
        return self.schedule.rate(step)

    def inputs(self, images: Tensor) -> Tensor:
        """What the network takes: uint8 images normalised, stored outputs as they are; on the device."""
        inputs = images.to(self.accelerator.device, non_blocking=True)
        if not images.is_floating_point():
            inputs = self.preprocess.normalise(inputs)
        return self.precision.arrange(inputs)

    def _network(self, net: nn.Module, images: Tensor) -> Callable[[Tensor], Any]:
        """What takes the inputs that are made of these: the network, or its part above `lower`."""
        if not images.is_floating_point():
            return net
        assert self.lower is not None, "stored outputs belong to a lower part"
        return partial(self.lower.upper, net)

    def _loss_of(self, network: Callable[[Tensor], Any], inputs: Tensor, targets: Tensor) -> Tensor:
        answers = None if self.teacher is None else self._ask(inputs)

        def loss_of(pixels: Tensor) -> Tensor:
            with self.precision.context(self.accelerator.device):
                logits = network(pixels)
            loss = self.loss(logits.float(), targets)
            return (
                loss if self.teacher is None or answers is None else self.teacher.mix(loss, logits, answers)
            )

        adversarial = self.settings.adversarial
        if adversarial is None or adversarial.fgsm is None:
            return loss_of(inputs)
        low, high = self.preprocess.bounds()
        return adversarial_loss(self.net, loss_of, inputs, adversarial.fgsm, low=low, high=high)

    def _ask(self, inputs: Tensor) -> Tensor:
        assert self.teacher is not None
        with self.precision.context(self.accelerator.device):
            return self.teacher.answer(inputs)

    def _update(self, step: int, damping: float) -> None:
        set_rates(self.optimizer, self.schedule.rate(step) * damping, self.schedule.momentum(step))
        self.penalty.add_gradients()
        learning = [parameter for parameter in self.net.parameters() if parameter.grad is not None]
        head = [p for name, p in self.net.named_parameters() if covers(self.head, name)]
        with self.gauge.measuring(
            self.accelerator.unwrap_model(self.net), self.schedule.rate(step) * damping
        ):
            clip_gradients(learning, self.settings.clip, head=head)
            self.optimizer.step()
            self.penalty.shrink(self.optimizer)
        self.optimizer.zero_grad()
        if self.ema is not None:
            self.ema.update(self.net, step=step + 1)
