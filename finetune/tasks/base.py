"""What differs between classification and segmentation, in one object each.

The loop, the plan and the exporter ask the task, and never which task it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch

from finetune.config import DataSettings
from finetune.config.optim import OptimSettings
from finetune.data import Splits, load_splits, read_splits
from finetune.data.dataset import ImageDataset
from finetune.data.masked_dataset import MaskedDataset
from finetune.data.masks import IGNORED, load_masked_splits, read_masked_splits
from finetune.losses.registry import LOSSES, Loss, LossContext, build_loss
from finetune.metrics.registry import build_metrics
from finetune.tasks.answer import class_margin, class_probabilities, pixel_classes, pixel_margin
from zoo.errors import GraftError

if TYPE_CHECKING:
    from torch import Tensor
    from torchmetrics import MetricCollection


@dataclass(frozen=True)
class Task:
    """One kind of answer a network can give.

    `score` names the metric that training maximises, one of `metric_names`. `load` and `read`
    give the splits, anew or from their record, and `dataset` shows them to torch.
    """

    name: Literal["classification", "segmentation"]
    score: str
    metric_names: tuple[str, ...]
    load: Callable[[DataSettings, int], Splits]
    read: Callable[[Mapping[str, Any], DataSettings], Splits]
    dataset: type[ImageDataset]
    answer: Callable[[Tensor, Tensor], Tensor]
    """Logits and the uint8 images (N, H, W, 3) they came from to the output of the exported file."""
    margin: Callable[[Tensor, Tensor], Tensor]
    """From the same two: by how much the best class leads, for each answer. The export check uses it."""
    probes: bool
    """Whether a linear classifier of pooled features can answer; without it neither probe is a strategy."""
    ignore_index: int | None = None
    """The class of pixels that do not count."""
    refuses: tuple[str, ...] = ()
    """Keys of the `finetune` section and augmentation steps that have no meaning for this task."""

    def training_loss(self, settings: OptimSettings, train: ImageDataset, classes: int) -> Loss:
        """Return the loss that training minimises."""
        context = LossContext(
            classes, settings.label_smoothing, self.ignore_index, partial(train.class_counts, classes)
        )
        return build_loss(settings.loss, context)

    def loss(self, label_smoothing: float) -> Loss:
        """Return the cross-entropy that evaluation reports, whatever training minimises."""
        return build_loss(
            LOSSES["cross_entropy"].default_call(), LossContext(0, label_smoothing, self.ignore_index)
        )

    def metrics(self, classes: int) -> MetricCollection:
        """Return the metrics of this task."""
        return build_metrics(self.metric_names, classes, self.ignore_index)


TASKS: Mapping[str, Task] = {
    "classification": Task(
        name="classification",
        score="accuracy",
        metric_names=(
            "accuracy",
            "balanced_accuracy",
            "f1",
            "recall",
            "precision",
            "confusion",
            "calibration_error",
        ),
        load=load_splits,
        read=read_splits,
        dataset=ImageDataset,
        answer=class_probabilities,
        margin=class_margin,
        probes=True,
    ),
    "segmentation": Task(
        name="segmentation",
        score="mean_iou",
        metric_names=("mean_iou", "pixel_accuracy", "iou", "recall"),
        ignore_index=IGNORED,
        load=load_masked_splits,
        read=read_masked_splits,
        dataset=MaskedDataset,
        answer=pixel_classes,
        margin=pixel_margin,
        probes=False,
        refuses=("mixup", "cutmix", "progressive_resizing", "test_time", "rand_augment", "trivial_augment"),
    ),
}


def find_task(name: str) -> Task:
    """The task of that name.

    Raises: GraftError when no such task can be trained.
    """
    if name not in TASKS:
        raise GraftError(f"task {name!r} cannot be trained; expected one of: {', '.join(TASKS)}")
    return TASKS[name]


def chance_loss(classes: int) -> float:
    """Cross-entropy of an even guess, ln(classes), in nats: where a fresh head should start."""
    return float(torch.log(torch.tensor(float(classes))))
