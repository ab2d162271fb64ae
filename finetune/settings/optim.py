"""How weights are optimised: the keys of `finetune` from the optimiser to the ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from finetune.optim import OPTIMIZERS
from finetune.schedules import SCHEDULES
from finetune.settings.switch import Off, OneOf, Settings
from zoo.registry import Call

if TYPE_CHECKING:
    OptimizerCall = Call
    ScheduleCall = Call
else:
    OptimizerCall = OPTIMIZERS.call_type()
    ScheduleCall = SCHEDULES.call_type()

SGD: Call = TypeAdapter(OptimizerCall).validate_python("sgd")
COSINE: Call = TypeAdapter(ScheduleCall).validate_python("cosine")

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]


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


class EMA(Settings):
    """Exponential moving average of the weights, which is what gets evaluated and exported."""

    decay: Decay = 0.999
    warm_up: bool = True
    """Average over fewer steps while there have been few."""


class Ensemble(OneOf):
    """Several sets of weights out of one run."""

    snapshots: Annotated[int, Field(ge=2)] | None = None
    """This many cosine cycles; the weights at the end of each are a member (arXiv:1704.00109)."""
    average: Annotated[int, Field(ge=2)] | None = None
    """Average the predictions of this many best epochs."""
    soup: Annotated[int, Field(ge=2)] | None = None
    """Average the weights of this many best epochs, each kept only if validation improves (arXiv:2203.05482)."""
    bagging: Annotated[int, Field(ge=2)] | None = None
    """This many members, each trained on its own bootstrap sample."""


class OptimSettings(Settings):
    """The recipe's optimisation and regularisation; every switch is one line."""

    optimizer: OptimizerCall = SGD
    """The update rule; by default SGD with Nesterov momentum."""
    learning_rate: Positive | Literal["auto"] = "auto"
    """Highest learning rate, that of the head; schedules and groups multiply it."""
    schedule: ScheduleCall = COSINE
    """The learning rate over time."""
    warm_up: Off[WarmUp] = WarmUp(fraction=0.05)
    clip: Off[Clip] = Clip(norm=1.0)
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Batches whose gradients make one step."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each layer's rate is this times that of the layer above it; 1: all alike."""
    stage_rates: dict[str, NonNegative] = {}
    """Module path: multiplier of the learning rate; the longest path that fits wins, 0 freezes."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, about a third more time."""

    weight_decay: NonNegative = 1e-3
    """Decoupled: a step shrinks weights by this times the learning rate; never biases and norms."""
    l2: NonNegative = 0.0
    """Coupled: half this times the squared weights is part of the loss, so that momentum and scaling see it."""
    l1: NonNegative = 0.0
    """This times the absolute weights is part of the loss; weights reach exactly 0. With `l2`: elastic net."""
    l2_sp: Off[L2SP] = None
    label_smoothing: Decay = 0.1
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
    after_stopping: Literal["keep", "retrain", "continue"] = "keep"
    """What happens after early stopping (Deep Learning book, section 7.8).

    keep the best weights; retrain from the start on training and validation images for as many steps
    (algorithm 7.2); or continue on both until the validation loss falls to the training loss at the
    stop (algorithm 7.3).
    """

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.ensemble is not None and self.ensemble.snapshots and self.schedule.op != "cosine_restarts":
            raise ValueError(
                f"snapshots are taken at the ends of cosine cycles: expected schedule cosine_restarts, "
                f"found {self.schedule.op}"
            )
        return self
