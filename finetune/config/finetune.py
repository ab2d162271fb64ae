"""The `finetune` section: which strategy, for how long, and with which recipe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from finetune.config.optim import OptimSettings
from finetune.config.settings import Off, Seed, Settings
from finetune.optim.ranges import Count, Positive, Share
from finetune.strategies import strategy_names


class _StrategyName:
    """Accepts `auto` and the names of strategies that are registered when a value is read."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_check_strategy, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, object]:
        return {"enum": [AUTO, *strategy_names()], "type": "string"}


def _check_strategy(name: str) -> str:
    if name not in (AUTO, *strategy_names()):
        expected = " or ".join(", ".join(map(repr, (AUTO, *strategy_names()))).rsplit(", ", 1))
        raise PydanticKnownError("literal_error", {"expected": expected})
    return name


AUTO = "auto"
StrategyName = Annotated[str, _StrategyName()]
Auto = Literal["auto"]


class PartialSettings(Settings):
    """How many stages `partial` trains, and how often it computes the frozen ones."""

    stages: Count | Auto = "auto"
    """The head and this many top stages learn."""
    views: Count | Literal["auto", "none"] = "auto"
    """The outputs of the frozen stages are cached for this many augmented views of each training image, which
    the epochs use in turn; auto: up to 4, each used in 4 epochs or more; none: computed in every epoch."""


Arithmetic = Literal[
    "float32 channels_first", "float32 channels_last", "bfloat16 channels_first", "bfloat16 channels_last"
]


class PrecisionSettings(Settings):
    """The arithmetic as the spec.yaml of a run states it: type of matrix products, and layout in memory."""

    features: Arithmetic
    """Of the pass through the frozen network."""
    training: Arithmetic
    """Of training by gradient."""


class Distill(Settings):
    """Learning from the predictions of a network that was trained before (arXiv:1503.02531)."""

    run: str
    """Folder of the teacher's run, with the same classes and channels."""
    share: Share = 0.7
    """Weight of the teacher's predictions in the loss; the labels have the rest."""
    temperature: Positive = 2.0
    """Temperature of both predictions."""
    cached: bool = False
    """Compute the teacher's predictions once, for the images without augmentation; else for each batch as the
    student sees it, which costs a pass through the teacher in each epoch."""


class MonitorSettings(Settings):
    """What is measured after each epoch, in addition to validation."""

    images: Count = 256
    """Most training images for the training score; an eighth of them, but at least 64, if that is less."""
    pictures: bool = False
    """Draw the filters of the first layer and some activations after training."""


class FinetuneSettings(OptimSettings):
    """One training run, apart from the network, the data and the augmentation.

    `auto` values are chosen from the data before training; plan.json contains the chosen numbers.
    """

    strategy: StrategyName = "auto"
    """Which part of the network learns; auto: chosen by measurement."""
    plan: str | None = None
    """Path of a plan.json to use as it is; nothing is measured."""
    budget_minutes: Positive | None = None
    """Time for training; the number of epochs is reduced to what fits by the measured time of two steps."""
    evidence_images: Annotated[int, Field(ge=100)] = 5000
    """Most training images for choosing the plan; from more, a stratified sample is used."""
    weights: str = "auto"
    """Name in the spec's `weights`, or `none`; auto: one that is on this machine, otherwise `default` or the
    first one, which is downloaded."""
    seed: Seed = 0
    """Random seed of splits, initial weights, the order of images, and augmentation."""
    epochs: Count | Auto = "auto"
    """Most epochs; auto: as many as give about 300 steps, or 400 from scratch, from 8 to 60."""
    batch_size: Count | Auto = "auto"
    """Images per batch; auto: up to 64, fewer with few images or large ones."""
    precision: Literal["auto", "float32", "bfloat16"] | PrecisionSettings = "auto"
    """Type of matrix products; auto: bfloat16 where it is clearly faster on this device. What is left open is
    measured when a run starts, and stands in its spec.yaml."""
    patience: Count | Literal["none"] = 10
    """Epochs without a better validation score after which training stops."""
    partial: PartialSettings = PartialSettings()
    folds: Off[Annotated[int, Field(ge=2, le=100)]] = None
    """Cross-validation: every image of training and validation is answered by a network that did not learn
    from it, of this many in turn; then one network learns from all of them."""
    batch_norm: Literal["stored", "batch"] = "stored"
    """Statistics that batch norms normalise by while pretrained weights are trained: `stored`, those that
    came with the weights, which stay as they are; `batch`, those of each batch."""
    head: Literal["auto", "fresh", "probe"] = "auto"
    """Initial weights of a fine-tuned head: `fresh` (random, or the head of a weights file with as many
    classes) or `probe` (a linear probe, arXiv:2202.10054); auto: `fresh`."""
    distill: Off[Distill] = None
    checks: Literal["none", "brief", "full"] = "brief"
    """Checks before the first step; `brief` ones take about as long as a few steps."""
    monitor: Off[MonitorSettings] = MonitorSettings()
    report: bool = True
    """Write report.html, the result with pictures, beside report.json."""
    trackers: list[Literal["tensorboard", "wandb", "mlflow"]] = Field(default=["tensorboard"])
    """Where the numbers of each epoch are logged, in addition to metrics.jsonl."""
    cache: str | None = None
    """Folder of cached features; by default GRAFT_CACHE or the user's cache folder."""

    @model_validator(mode="after")
    def _check_distill(self) -> Self:
        if self.distill is not None and self.distill.cached and (self.mixup or self.cutmix):
            raise ValueError(
                "distill.cached holds predictions for single images, and mixup and cutmix combine two: "
                "expected distill.cached false, or neither of them"
            )
        return self

    @model_validator(mode="after")
    def _check_folds(self) -> Self:
        if self.folds is None:
            return self
        refused = {
            "ensemble chooses by validation images": self.ensemble is not None,
            f"after_stopping: {self.after_stopping} chooses by validation images": self.after_stopping
            != "keep",
            "schedule plateau follows the validation images": self.schedule.op == "plateau",
            "distill has a teacher that may know the images that are held out": self.distill is not None,
        }
        for reason, holds in refused.items():
            if holds:
                raise ValueError(
                    f"folds: {self.folds} trains without validation images, and {reason}: "
                    f"expected folds none, or a spec without {reason.split()[0].rstrip(':')}"
                )
        return self
