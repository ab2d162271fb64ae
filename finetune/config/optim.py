"""How weights are optimised: the keys of `finetune` from the optimiser to the ensemble."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from finetune.config.switch import Off, OneOf, Settings
from finetune.losses.registry import LOSSES
from finetune.optim.optimizers import OPTIMIZERS, check_timm_options
from finetune.optim.ranges import Count, Decay, Factor, NonNegative, Positive, Share
from finetune.optim.schedules import SCHEDULES
from zoo.registry import Call

TestTime = Literal["flip", "ten_crop"]
Members = Annotated[int, Field(ge=2)]


class WarmUp(OneOf):
    """How long the learning rate climbs from near nothing to its full height."""

    epochs: NonNegative | None = None
    fraction: Share | None = None
    """Share of all steps of the run."""


class Clip(OneOf):
    """What keeps one bad batch from throwing the weights away."""

    norm: Positive | None = None
    """The gradient of all weights together is scaled down to this length."""
    value: Positive | None = None
    """Each element of the gradient is cut at plus and minus this."""
    adaptive: Positive | None = None
    """Each unit's gradient is scaled down to this share of its weights' length (arXiv:2102.06171)."""


class L2SP(Settings):
    """L2 towards the pretrained weights rather than towards zero (arXiv:1802.01483)."""

    alpha: NonNegative = 0.01
    """Strength for the weights that came pretrained."""
    beta: NonNegative = 0.01
    """Strength for new weights, towards zero."""


class FGSM(Settings):
    """Fast gradient sign method (arXiv:1412.6572)."""

    epsilon: Positive = 0.007
    """Largest change of a pixel, with pixels from 0 to 1."""
    share: Share = 0.5
    """Weight of the adversarial loss; the clean loss has the rest."""


class Adversarial(OneOf):
    """Training on images changed against the network."""

    fgsm: FGSM | None = None


class ProgressiveResizing(Settings):
    """Small images first and the full size at the end: most epochs cost a fraction of one at full size.

    Validation has the full size all along, and patience counts from when training has it too.
    """

    initial_scale: Factor = 0.5
    """Share of the full height and width to begin with."""
    delay_fraction: Share = 0.4
    """Share of all steps at the initial scale; from there the images grow in proportion."""
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
    """Exponential moving average of the weights, which is what gets evaluated and exported."""

    decay: Decay = 0.999
    warm_up: bool = True
    """Average over fewer steps while there have been few."""


class Ensemble(OneOf):
    """Several sets of weights out of one run."""

    snapshots: Members | None = None
    """This many cosine cycles; the weights at the end of each are a member (arXiv:1704.00109)."""
    average: Members | None = None
    """Average the predictions of this many best epochs."""
    soup: Members | None = None
    """Average the weights of this many best epochs, each if validation gains by it (arXiv:2203.05482)."""
    bagging: Members | None = None
    """This many members, each trained on its own bootstrap sample."""


class OptimSettings(Settings):
    """The recipe's optimisation and regularisation; every switch is one line."""

    optimizer: Annotated[Call, OPTIMIZERS.item()] = OPTIMIZERS["sgd"].default_call()
    """The update rule; by default SGD with Nesterov momentum."""
    loss: Annotated[Call, LOSSES.item()] = LOSSES["auto"].default_call()
    """What training minimises; `auto` is cross-entropy, which validation and test report in any case."""
    learning_rate: Positive | Literal["auto"] = "auto"
    """Highest learning rate, that of the head; schedules and groups multiply it."""
    schedule: Annotated[Call, SCHEDULES.item()] = SCHEDULES["cosine"].default_call()
    """The learning rate over time."""
    warm_up: Off[WarmUp] = WarmUp(fraction=0.05)
    clip: Off[Clip] = Clip(norm=1.0)
    accumulate: Count = 1
    """Batches whose gradients make one step."""
    layer_decay: Factor = 1.0
    """Each layer's rate is this times that of the layer above it; 1: all alike."""
    stage_rates: dict[str, NonNegative] = Field(default={})
    """Module path: multiplier of the learning rate; the longest path that fits wins, 0 freezes."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, about a third more time."""
    progressive_resizing: Off[ProgressiveResizing] = None

    weight_decay: NonNegative = 1e-3
    """Decoupled: a step shrinks weights by this times the learning rate; never biases and norms."""
    l2: NonNegative = 0.0
    """Coupled: half this times the squared weights is part of the loss, so momentum and scaling see it."""
    l1: NonNegative = 0.0
    """This times the absolute weights is part of the loss; weights reach 0. With `l2`: elastic net."""
    l2_sp: Off[L2SP] = None
    label_smoothing: Decay = 0.1
    """Share of each label that is spread over all classes (arXiv:1512.00567)."""
    mixup: NonNegative = 0.0
    """Alpha of the Beta distribution two images are blended by (arXiv:1710.09412); 0: off."""
    cutmix: NonNegative = 0.0
    """Alpha of the Beta distribution of the patch's share (arXiv:1905.04899); 0: off."""
    weight_noise: NonNegative = 0.0
    """Deviation of the noise on weights in each forward pass, as a share of the weight tensor's own."""
    input_noise: NonNegative = 0.0
    """Deviation of the noise on normalised inputs."""
    adversarial: Off[Adversarial] = None

    ema: Off[EMA] = None
    ensemble: Off[Ensemble] = None
    test_time: Off[TestTime] = None
    """Views of an image whose answers are averaged when the network is used: 2 or 10 times the work."""
    after_stopping: Literal["keep", "retrain", "continue"] = "keep"
    """What happens after early stopping (Deep Learning book, section 7.8).

    keep the best weights; retrain from the start on training and validation images for as many steps
    (algorithm 7.2); or continue on both until the validation loss falls to the training loss at the
    stop (algorithm 7.3).
    """

    def warm_up_steps(self, steps: int, steps_per_epoch: int) -> int:
        """Steps of warm-up in a run of `steps`; `one_cycle` has its own rise and gets none."""
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
        wanted = self.ensemble.snapshots if self.ensemble else None
        cycles = self.schedule.args["cycles"] if self.schedule.op == "cosine_restarts" else 0
        if wanted and cycles < wanted:
            found = f"{self.schedule.op} with {cycles}" if cycles else self.schedule.op
            raise ValueError(
                f"ensemble: {wanted} snapshots are taken at the ends of as many cosine cycles: "
                f"expected schedule {{cosine_restarts: {{cycles: {wanted}}}}} or more cycles, found {found}"
            )
        return self

    @model_validator(mode="after")
    def _check_after_stopping(self) -> Self:
        if self.ensemble is not None and self.after_stopping != "keep":
            raise ValueError(
                f"after_stopping: {self.after_stopping} trains one network on, and ensemble asks "
                "for several: expected after_stopping keep, or ensemble none"
            )
        return self
