"""What a task is: one kind of answer that a network gives, with everything that depends on it.

Other code asks the task, and never which task it is. A new task is one file with a registered class; its
counterpart for serving is the file of the same name in serve/tasks. Reading a spec imports all tasks, so that
methods import what is slow to import.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from zoo.errors import GraftError, did_you_mean
from zoo.spec.tasks import known_tasks

if TYPE_CHECKING:
    from torch import Tensor
    from torchmetrics import MetricCollection

    from finetune.config import DataSettings
    from finetune.config.optim import OptimSettings
    from finetune.data import Splits
    from finetune.data.dataset import ImageDataset
    from finetune.losses.registry import Loss


class Task(ABC):
    """One kind of answer that a network gives. Subclasses set the attributes without a default."""

    name: ClassVar[str]
    """What a spec's `task` says."""
    dense: ClassVar[bool] = False
    """Whether the network answers for every pixel, (classes, height, width), and not with (classes,)."""
    target: ClassVar[str] = "class"
    """The kind of target; data sources and losses are registered by it."""
    metrics: ClassVar[tuple[str, ...]]
    """Names of the metrics that are reported."""
    score: ClassVar[str]
    """The metric that training maximises, one of `metrics`; from 0 to 1."""
    per_class: ClassVar[tuple[str, ...]] = ()
    """Those of `metrics` that hold one number per class; the report lists them by class."""
    default_loss: ClassVar[str] = "cross_entropy"
    """What `finetune.loss: auto` stands for; validation and tests report it in any case."""
    ignore_index: ClassVar[int | None] = None
    """Targets of this value do not count."""
    probes: ClassVar[bool] = False
    """Whether a linear classifier of pooled features can answer: only then are there probes and races."""
    probabilities: ClassVar[bool] = False
    """Whether the exported file answers with one probability per class, which are then calibrated."""
    refuses: ClassVar[tuple[str, ...]] = ()
    """Keys of the `finetune` section, and augmentations, that have no meaning for the task."""
    resize_rules: ClassVar[tuple[str, ...]] = ("squash", "crop", "pad")
    """Values of `input.resize` that the targets allow."""
    memorised: ClassVar[float] = 1.0
    """Share of correct answers at which a few images count as learned by heart."""

    @abstractmethod
    def dataset_type(self) -> type[ImageDataset]:
        """Return the class of data sets that pairs images and targets."""

    @abstractmethod
    def correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the share of each image that is answered correctly, (N,), from 0 to 1.

        In: logits (N, classes, …), targets (N, …).
        """

    @abstractmethod
    def answer(self, logits: Tensor, image: Tensor) -> Tensor:
        """Return the output of the exported file, as serve/tasks declares it.

        In: logits (N, classes, …), and the uint8 images (N, height, width, 3) that they came from.
        """

    def margin(self, logits: Tensor, image: Tensor) -> Tensor:
        """Return by how much the best class of each answer leads, (N, …), for the check of the export.

        In: as `answer`. Out: the difference of the two best probabilities; 1 for a single class.
        """
        probabilities = logits.softmax(dim=1)
        if probabilities.shape[1] == 1:
            return probabilities[:, 0].new_ones(probabilities[:, 0].shape)
        best = probabilities.topk(2, dim=1).values
        return best[:, 0] - best[:, 1]

    def chance_loss(self, classes: int) -> float:
        """Return the loss of a network that knows nothing: for cross-entropy ln(classes), in nats."""
        return math.log(classes)

    def chance_score(self, classes: int) -> float:
        """Return the score of a network that knows nothing."""
        return 1 / classes

    def describe_target(self, target: object, classes: tuple[str, ...]) -> str:
        """Return the caption of an image with that target, '' for none."""
        return ""

    def load_splits(self, settings: DataSettings, seed: int) -> Splits:
        """Return the splits of the settings' images, cut by the seed. Raises: DataError."""
        from finetune.data import load_splits

        return load_splits(settings, seed, self.target)

    def read_splits(self, values: object, settings: DataSettings) -> Splits:
        """Return the splits that `Splits.to_record` wrote."""
        from finetune.data import read_splits

        return read_splits(values, settings, self.target)

    def training_loss(self, settings: OptimSettings, train: ImageDataset, classes: int) -> Loss:
        """Return the loss that training minimises."""
        from finetune.losses.registry import LOSSES, LossContext, build_loss

        counts = partial(train.class_counts, classes)
        context = LossContext(classes, settings.label_smoothing, self.ignore_index, counts)
        call = LOSSES[self.default_loss].default_call() if settings.loss.op == "auto" else settings.loss
        if settings.balance == "loss":
            call = replace(call, args={**call.args, "class_weights": "balanced"})
        return build_loss(call, context)

    def evaluation_loss(self) -> Loss:
        """Return the default loss without what regularises it, whatever training minimises."""
        from finetune.losses.registry import LOSSES, LossContext, build_loss

        return build_loss(
            LOSSES[self.default_loss].default_call(), LossContext(0, ignore_index=self.ignore_index)
        )

    def build_metrics(self, classes: int) -> MetricCollection:
        """Return the metrics, which collect over batches of logits and targets."""
        from finetune.metrics.registry import build_metrics

        return build_metrics(self.metrics, classes, self.ignore_index)


TASKS: dict[str, Task] = {}
"""Graft's own tasks by name; zoo.spec.tasks adds those of installed packages."""


def register(kind: type[Task]) -> type[Task]:
    """Register a task under its name. Raises: ValueError when the name is taken."""
    if kind.name in TASKS:
        raise ValueError(f"task '{kind.name}' is registered twice")
    TASKS[kind.name] = kind()
    return kind


def find_task(name: str) -> Task:
    """Return the task of that name. Raises: GraftError, with the nearest name."""
    tasks = known_tasks()
    if name not in tasks:
        hint = did_you_mean(name, tasks)
        raise GraftError(f"unknown task '{name}'; expected one of: {', '.join(tasks)}{hint}")
    return cast("Task", tasks[name])
