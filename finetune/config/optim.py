"""The keys of the `finetune` section about optimisation and regularisation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from finetune.config.settings import Off, OneOf, Settings
from finetune.losses.registry import LOSSES
from finetune.optim.optimizers import OPTIMIZERS, check_timm_options
from finetune.optim.ranges import Count, Decay, Factor, NonNegative, Positive, Share
from finetune.optim.schedules import SCHEDULES
from zoo.registry import Call

TestTime = Literal["flip", "ten_crop"]
Members = Annotated[int, Field(ge=2)]


class WarmUp(OneOf):
    """How long the learning rate increases at the start."""

    epochs: NonNegative | None = None
    """Number of epochs."""
    fraction: Share | None = None
    """Share of all steps of the run."""


class Clip(OneOf):
    """How gradients are clipped."""

    norm: Positive | None = None
    """Highest norm of the gradient of all weights together."""
    value: Positive | None = None
    """Highest absolute value of an element of the gradient."""
    adaptive: Positive | None = None
    """Highest norm of a unit's gradient, as a share of the norm of its weights (arXiv:2102.06171)."""


class L2SP(Settings):
    """L2 penalty on the difference from the pretrained weights (arXiv:1802.01483)."""

    alpha: NonNegative = 0.01
    """Strength for pretrained weights."""
    beta: NonNegative = 0.01
    """Strength for new weights, whose L2 penalty is on the weights themselves."""


class FGSM(Settings):
    """Fast gradient sign method (arXiv:1412.6572)."""

    epsilon: Positive = 0.007
    """Change of each pixel, for pixels from 0 to 1."""
    share: Share = 0.5
    """Weight of the loss of adversarial images; that of clean ones has the rest."""


class Adversarial(OneOf):
    """Training on adversarial images."""

    fgsm: FGSM | None = None


class ProgressiveResizing(Settings):
    """Training starts with small images, which take less time, and ends with the full size.

    Validation always uses the full size, and patience counts from when training does.
    """

    initial_scale: Factor = 0.5
    """Initial height and width, as a share of the full ones."""
    delay_fraction: Share = 0.4
    """Share of all steps at the initial size, after which the size increases linearly."""
    finetune_fraction: Share = 0.2
    """Share of all steps at the full size, at the end."""

    @model_validator(mode="after")
    def _check_fractions(self) -> Self:
        if self.delay_fraction + self.finetune_fraction > 1:
            raise ValueError(
                f"delay_fraction and finetune_fraction: expected a sum of at most 1, "
                f"found {self.delay_fraction:g} + {self.finetune_fraction:g}"
            )
        return self


class EMA(Settings):
    """Exponential moving average of the weights, which is evaluated and exported."""

    decay: Decay = 0.999
    """Share of the average that each step keeps."""
    warm_up: bool = True
    """Use a lower decay in the first steps."""


WEIGHTED_LOSSES = ("cross_entropy", "focal")
"""Losses with an argument `class_weights`."""


class Ensemble(OneOf):
    """Several networks from one run."""

    snapshots: Members | None = None
    """The weights at the end of each of this many cosine cycles are members (arXiv:1704.00109)."""
    average: Members | None = None
    """Average the predictions of this many best epochs."""
    soup: Members | None = None
    """Average the weights of this many best epochs, each only if validation improves (arXiv:2203.05482)."""
    bagging: Members | None = None
    """Train this many members, each on its own bootstrap sample."""


class OptimSettings(Settings):
    """Optimisation and regularisation."""

    optimizer: Annotated[Call, OPTIMIZERS.item()] = OPTIMIZERS["sgd"].default_call()
    """Optimiser; by default SGD with Nesterov momentum."""
    loss: Annotated[Call, LOSSES.item()] = LOSSES["auto"].default_call()
    """What training minimises; auto: cross-entropy. Validation and test always report cross-entropy."""
    balance: Off[Literal["sampling", "loss"]] = None
    """Give every class the same weight, whatever its number of images: `sampling` draws the images of a batch
    from all classes alike, `loss` weights the loss; a linear classifier is told that all are as frequent."""
    learning_rate: Positive | Literal["auto"] = "auto"
    """Highest learning rate, that of the head."""
    schedule: Annotated[Call, SCHEDULES.item()] = SCHEDULES["cosine"].default_call()
    """Learning rate over time."""
    warm_up: Off[WarmUp] = WarmUp(fraction=0.05)
    clip: Off[Clip] = Clip(norm=1.0)
    accumulate: Count = 1
    """Batches per step, whose gradients are accumulated."""
    layer_decay: Factor = 1.0
    """Learning rate of a layer divided by that of the layer above it."""
    stage_rates: dict[str, NonNegative] = Field(default={})
    """Factor of the learning rate by module path; the longest path that matches applies, 0 freezes."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    progressive_resizing: Off[ProgressiveResizing] = None

    weight_decay: NonNegative = 1e-3
    """Decoupled weight decay: a step multiplies weights, not biases and norms, by 1 - this · learning
    rate."""
    l2: NonNegative = 0.0
    """L2 penalty: this / 2 times the sum of squared weights is added to the loss."""
    l1: NonNegative = 0.0
    """L1 penalty: this times the sum of absolute weights is added to the loss. With `l2`: elastic net."""
    l2_sp: Off[L2SP] = None
    label_smoothing: Decay = 0.1
    """Share of each label that is distributed over all classes (arXiv:1512.00567)."""
    mixup: NonNegative = 0.0
    """Alpha of the Beta distribution of the share of two blended images (arXiv:1710.09412); 0: off."""
    cutmix: NonNegative = 0.0
    """Alpha of the Beta distribution of the share of a pasted patch (arXiv:1905.04899); 0: off."""
    weight_noise: NonNegative = 0.0
    """Standard deviation of noise on the weights, as a share of the root mean square of each weight
    tensor."""
    input_noise: NonNegative = 0.0
    """Standard deviation of noise on the normalised inputs."""
    adversarial: Off[Adversarial] = None

    ema: Off[EMA] = None
    ensemble: Off[Ensemble] = None
    test_time: Off[TestTime] = None
    """Test-time augmentation: predictions of 2 or 10 views of an image are averaged, at 2 or 10 times the
    cost."""
    after_stopping: Literal["keep", "retrain", "continue"] = "keep"
    """What follows early stopping: keep the best weights; retrain from the start on training and validation
    images, for as many steps; or continue on both until the validation loss reaches the training loss at the
    stop (Goodfellow et al. 2016, Deep Learning, algorithms 7.2 and 7.3)."""

    def warm_up_steps(self, steps: int, steps_per_epoch: int) -> int:
        """Return the number of warm-up steps in a run of `steps`; none for `one_cycle`, which has its own."""
        if self.warm_up is None or self.schedule.op == "one_cycle":
            return 0
        if self.warm_up.epochs is not None:
            return min(round(self.warm_up.epochs * steps_per_epoch), steps)
        assert self.warm_up.fraction is not None
        return round(self.warm_up.fraction * steps)

    @field_validator("optimizer")
    @classmethod
    def _check_optimizer(cls, optimizer: Call) -> Call:
        if optimizer.op == "timm":
            check_timm_options(optimizer.args["name"], optimizer.args["options"])
        return optimizer

    @model_validator(mode="after")
    def _check_snapshots(self) -> Self:
        snapshots = self.ensemble.snapshots if self.ensemble else None
        cycles = self.schedule.args["cycles"] if self.schedule.op == "cosine_restarts" else 0
        if snapshots and cycles < snapshots:
            found = f"{self.schedule.op} with {cycles}" if cycles else self.schedule.op
            raise ValueError(
                f"ensemble: {snapshots} snapshots need as many cosine cycles: "
                f"expected schedule {{cosine_restarts: {{cycles: {snapshots}}}}} or more, found {found}"
            )
        return self

    @model_validator(mode="after")
    def _check_balance(self) -> Self:
        if self.balance == "loss" and self.loss.op not in ("auto", *WEIGHTED_LOSSES):
            raise ValueError(
                f"balance: loss needs a loss with class weights, and loss is {self.loss.op}: "
                f"expected loss {' or '.join(WEIGHTED_LOSSES)}, or balance sampling"
            )
        return self

    @model_validator(mode="after")
    def _check_after_stopping(self) -> Self:
        if self.ensemble is not None and self.after_stopping != "keep":
            raise ValueError(
                f"after_stopping: {self.after_stopping} trains one network, and ensemble needs several: "
                "expected after_stopping keep, or ensemble none"
            )
        return self
