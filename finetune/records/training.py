"""trained.json: how a network was trained, with all that is needed to rebuild it from its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from finetune.records.estimate import Estimate


@dataclass(frozen=True)
class ProbeTraining:
    """A linear classifier fitted to the input of the network's head.

    `strength` is its regularization, `accuracy` the cross-validated accuracy on the training images.
    """

    strength: float
    accuracy: Estimate
    kind: Literal["probe"] = "probe"


@dataclass(frozen=True)
class StageProbeTraining:
    """A linear classifier fitted to `features` channels, pooled from the stages that `taps` names."""

    taps: tuple[str, ...]
    features: int
    strength: float
    accuracy: Estimate
    kind: Literal["stage_probe"] = "stage_probe"


@dataclass(frozen=True)
class GradientTraining:
    """Training by gradient: how many epochs and updates were done, and which epoch, from 1, was best."""

    epochs: int
    best_epoch: int
    steps: int
    kind: Literal["gradient"] = "gradient"


@dataclass(frozen=True)
class Member:
    """A member of an ensemble: its validation score, and the epoch, from 1, or step its weights are from."""

    val_score: float
    epoch: int | None = None
    step: int | None = None


@dataclass(frozen=True)
class EnsembleTraining:
    """A network that averages the predictions of its members; `runs` are the trainings they come from."""

    method: Literal["snapshots", "average", "bagging"]
    runs: tuple[GradientTraining, ...]
    members: tuple[Member, ...]
    val_score: float
    kind: Literal["ensemble"] = "ensemble"


@dataclass(frozen=True)
class SoupTraining:
    """A network whose weights are the mean of those of `epochs`, chosen from the `candidates`, best first."""

    run: GradientTraining
    candidates: tuple[int, ...]
    epochs: tuple[int, ...]
    val_score: float
    kind: Literal["soup"] = "soup"


@dataclass(frozen=True)
class RefitTraining:
    """Training after early stopping, on the validation images as well.

    `run` is the training that stopped early; `steps` and `epochs` are those of the second one. It ended when
    the loss on the validation images, `val_loss`, was down to `target_loss`, if there was a target.
    """

    method: Literal["retrain", "continue"]
    run: GradientTraining
    steps: int
    epochs: int
    target_loss: float | None = None
    val_loss: float | None = None
    kind: Literal["refit"] = "refit"


TrainingRecord = Annotated[
    ProbeTraining | StageProbeTraining | GradientTraining | EnsembleTraining | SoupTraining | RefitTraining,
    Field(discriminator="kind"),
]
TRAINING: TypeAdapter[TrainingRecord] = TypeAdapter(TrainingRecord)
GRADIENT = TypeAdapter(GradientTraining)
