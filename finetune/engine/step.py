"""One training step: what a batch does to the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from finetune.config import FinetuneSettings
from finetune.engine.gauge import Gauge
from finetune.features.frozen_stages import FrozenStages
from finetune.losses.registry import Loss
from finetune.optim.freeze import covers
from finetune.optim.optimizers import set_rates
from finetune.optim.schedules import Schedule
from finetune.regularization.distill import Teacher
from finetune.regularization.gradients import clip_gradients
from finetune.regularization.mixup import Mix
from finetune.regularization.penalties import Penalty
from finetune.regularization.perturbation import add_input_noise, adversarial_loss, weight_noise
from finetune.regularization.resizing import Resizing
from finetune.runtime.precision import Precision
from finetune.runtime.seeds import derive_seed, make_generator
from finetune.transforms.preprocess import Preprocess

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3


@dataclass(frozen=True)
class BatchPosition:
    """The position of a batch: `batch` counts within the epoch, `step` the updates of the whole run.

    `last` marks the last batch of an epoch, which always ends in an update. `group_size` is the number of
    batches whose gradients are accumulated for the update that this batch belongs to. `rows` are the indices
    of the batch's images in the training split.
    """

    epoch: int
    batch: int
    step: int
    last: bool
    group_size: int = 1
    rows: Sequence[int] = ()


@dataclass(frozen=True)
class Step:
    """Forward, loss, backward, clip, update. All parts are on the accelerator's device.

    Random numbers depend only on the seed and the batch's position, so a run that resumes in the middle of an
    epoch gets the same numbers as one that never stopped.

    Batches are uint8 images, or, in floating point, the outputs of the network's `frozen_stages`. Of the
    latter only the stages above are computed.
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
    frozen_stages: FrozenStages | None = None
    gauge: Gauge = field(default_factory=Gauge)

    def __call__(
        self, images: Tensor, targets: Tensor, position: BatchPosition, damping: float = 1.0
    ) -> tuple[Tensor, bool]:
        """Train on one batch.

        In: uint8 images (N, 3, h, w) or cached outputs (N, …), and their targets; `damping` multiplies the
        learning rate.
        Out: the loss, (), and whether the weights were updated. They are not while gradients accumulate.
        """
        settings, seed = self.settings, (self.settings.seed, position.epoch, position.batch)
        torch.manual_seed(derive_seed(*seed))
        inputs, targets = self.inputs(images), targets.to(self.accelerator.device)
        if self.resizing is not None:
            inputs = self.precision.arrange(self.resizing(inputs, position.step))
            targets = self.resizing.targets(targets, inputs)
        if self.mix is not None:
            inputs, targets = self.mix(inputs, targets, seed=derive_seed(*seed, "mix"))
        if settings.input_noise:
            inputs = add_input_noise(inputs, settings.input_noise, make_generator(*seed, "input noise"))
        with weight_noise(self.net, settings.weight_noise, make_generator(*seed, "weight noise")):
            loss = self._training_loss(self._forward(self.net, images), inputs, targets, position.rows)
            self.accelerator.backward(loss / position.group_size)
        updates = position.last or (position.batch + 1) % settings.accumulate == 0
        if updates:
            self._update(position.step, damping)
        return loss.detach(), updates

    @property
    def eval_net(self) -> nn.Module:
        """The network that is validated and saved: the moving average of the weights if there is one."""
        net: nn.Module = self.accelerator.unwrap_model(self.net) if self.ema is None else self.ema.module
        return net

    def predict(self, images: Tensor) -> Tensor:
        """Return the logits of `eval_net`, in the precision of training.

        In: uint8 images (N, 3, h, w) or cached outputs (N, …).
        """
        with self.precision.context(self.accelerator.device):
            logits: Tensor = self._forward(self.eval_net, images)(self.inputs(images))
        return logits

    def inputs(self, images: Tensor) -> Tensor:
        """Return the network's inputs on its device: uint8 images normalised, cached outputs as they are."""
        inputs = images.to(self.accelerator.device, non_blocking=True)
        if not images.is_floating_point():
            inputs = self.preprocess.normalise(inputs)
        return self.precision.arrange(inputs)

    def _forward(self, net: nn.Module, images: Tensor) -> Callable[[Tensor], Any]:
        """Return the function that computes logits: the network, or for cached outputs its upper stages."""
        if not images.is_floating_point():
            return net
        assert self.frozen_stages is not None, "cached outputs come from frozen stages"
        return partial(self.frozen_stages.run_above, net)

    def _training_loss(
        self, forward: Callable[[Tensor], Any], inputs: Tensor, targets: Tensor, rows: Sequence[int]
    ) -> Tensor:
        """Return the loss, mixed with the teacher's and on adversarial inputs if the recipe says so."""
        teacher, device, answers = self.teacher, self.accelerator.device, None
        if teacher is not None:
            with self.precision.context(device):
                answers = teacher.predict(inputs, rows)

        def loss_of(pixels: Tensor) -> Tensor:
            with self.precision.context(device):
                logits = forward(pixels)
            loss = self.loss(logits.float(), targets)
            return loss if teacher is None or answers is None else teacher.blend(loss, logits, answers)

        adversarial = self.settings.adversarial
        if adversarial is None or adversarial.fgsm is None:
            return loss_of(inputs)
        low, high = self.preprocess.bounds()
        return adversarial_loss(self.net, loss_of, inputs, adversarial.fgsm, low=low, high=high)

    def _update(self, step: int, damping: float) -> None:
        rate_factor = self.schedule.rate(step) * damping
        set_rates(self.optimizer, rate_factor, self.schedule.momentum(step))
        self.penalty.add_gradients()
        trained = [parameter for parameter in self.net.parameters() if parameter.grad is not None]
        head = [p for name, p in self.net.named_parameters() if covers(self.head, name)]
        with self.gauge.measuring(self.accelerator.unwrap_model(self.net), rate_factor):
            clip_gradients(trained, self.settings.clip, head=head)
            self.optimizer.step()
            self.penalty.shrink(self.optimizer)
        self.optimizer.zero_grad()
        if self.ema is not None:
            self.ema.update(self.net, step=step + 1)
