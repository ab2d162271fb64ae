"""The `finetune` section: which strategy, for how long, and by which recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from finetune.config.monitor import MonitorSettings
from finetune.config.optim import OptimSettings
from finetune.config.switch import Off, Settings
from finetune.optim.ranges import Positive, Share

StrategyName = Literal["auto", "linear_probe", "stage_probe", "partial", "full", "scratch"]
Auto = Literal["auto"]


class PartialSettings(Settings):
    """How deep `partial` trains, the head and this many top stages, and how often it computes the others."""

    stages: Annotated[int, Field(ge=1)] | Auto = "auto"
    views: Annotated[int, Field(ge=1)] | Literal["auto", "none"] = "auto"
    """What the frozen stages give out is kept in memory for so many augmented views of the training images,
    which epochs show in turn; auto: up to 4, each for 4 epochs at least; none: computed in every epoch."""


class Distill(Settings):
    """Learning from a network trained before (arXiv:1503.02531)."""

    run: str
    """Folder of the teacher's run: same classes, same channels."""
    share: Share = 0.7
    """Weight of the teacher's answers in the loss; the labels have the rest."""
    temperature: Positive = 2.0
    """Both answers are softened by this."""


class FinetuneSettings(OptimSettings):
    """Everything about one training run that is not the network, the data or the augmentation.

    `auto` values are settled from the data before training and stand in plan.json as numbers.
    """

    strategy: StrategyName = "auto"
    """What learns: a linear classifier on one stage or several, the top stages, or everything."""
    plan: str | None = None
    """A plan.json to carry out as it stands, edited or not; nothing is measured then."""
    budget_minutes: Positive | None = None
    """Training may take about so long: epochs are cut to what two timed steps say will fit."""
    evidence_images: Annotated[int, Field(ge=100)] = 5000
    """Of more training images than this, the plan is chosen by a stratified sample of so many."""
    weights: str = "auto"
    """A name from the spec's `weights`, `none`, or `auto`: `default` if the spec has it, else its first."""
    seed: int = 0
    """Of all that is drawn: splits, first weights, the order of images, augmentation."""
    epochs: Annotated[int, Field(ge=1)] | Auto = "auto"
    """At most so many; auto: as many as give about 300 steps, 400 from scratch; from 8 to 60."""
    batch_size: Annotated[int, Field(ge=1)] | Auto = "auto"
    """Images a step; auto: up to 64, fewer where there are few images."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What matrix products are done in; auto: bfloat16 where this device is clearly faster with it."""
    patience: Annotated[int, Field(ge=1)] | Literal["none"] = 10
    """Epochs without a better validation score before training stops."""
    partial: PartialSettings = PartialSettings()
    head: Literal["auto", "fresh", "probe"] = "auto"
    """Where a fine-tuned head starts: `fresh`, random weights, or a linear probe (arXiv:2202.10054); `auto`
    is `fresh`. Where a file of weights has as many classes as the data, fresh is the file's own head.
    """
    distill: Off[Distill] = None
    checks: Literal["none", "brief", "full"] = "brief"
    """Sanity checks before the first step; `brief` takes about as long as a few steps."""
    monitor: Off[MonitorSettings] = MonitorSettings()
    trackers: list[Literal["tensorboard", "wandb", "mlflow"]] = Field(default=["tensorboard"])
    """Where the numbers of each epoch go beside metrics.jsonl; TensorBoard's stand in the run's folder."""
    cache: str | None = None
    """Folder for cached features; by default GRAFT_CACHE or the user's cache folder."""
