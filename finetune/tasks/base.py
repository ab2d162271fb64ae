"""What differs between classification and segmentation, in one object each.

The loop, the plan and the exporter ask the task, and never which task it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from finetune.config import DataSettings
from finetune.data import Splits, load_splits, read_splits
from finetune.data.dataset import ImageDataset
from finetune.data.masked_dataset import MaskedDataset
from finetune.data.masks import IGNORED, load_masked_splits, read_masked_splits
from zoo.errors import GraftError

if TYPE_CHECKING:
    import torchmetrics

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """One kind of answer a network can give.

    `score` names the metric that training maximises. `loss(label_smoothing)` takes logits and targets (class
    numbers, or a distribution over the classes when images were mixed); `metrics(classes)` collects over
    batches of the same two. `load` and `read` give the splits, anew or from their record, and `dataset`
    shows them to torch.
    """

    name: Literal["classification", "segmentation"]
    score: str
    loss: Callable[[float], Loss]
    metrics: Callable[[int], torchmetrics.MetricCollection]
    load: Callable[[DataSettings, int], Splits]
    read: Callable[[Mapping[str, Any], DataSettings], Splits]
    dataset: type[ImageDataset]
    probes: bool
    """Whether a linear classifier of pooled features can answer; without it neither probe is a strategy."""
    refuses: tuple[str, ...] = ()
    """Keys of the `finetune` section and augmentation steps that have no meaning for this task."""


def cross_entropy(label_smoothing: float) -> Loss:
    """Cross-entropy, with the label smoothing of Szegedy et al. 2015, arXiv:1512.00567."""

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)

    return loss


def pixel_cross_entropy(label_smoothing: float) -> Loss:
    """The same for every pixel of masks (N, H, W); those that are IGNORED do not count."""

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, label_smoothing=label_smoothing, ignore_index=IGNORED)

    return loss


def classification_metrics(classes: int) -> torchmetrics.MetricCollection:
    """Accuracy over all images, mean recall and F1 over the classes, and each class's own recall."""
    import torchmetrics  # takes seconds to import, and a plan needs none of it

    multiclass = torchmetrics.classification
    return torchmetrics.MetricCollection(
        {
            "accuracy": multiclass.MulticlassAccuracy(classes, average="micro"),
            "balanced_accuracy": multiclass.MulticlassAccuracy(classes, average="macro"),
            "f1": multiclass.MulticlassF1Score(classes, average="macro"),
            "recall": multiclass.MulticlassRecall(classes, average="none"),
            "precision": multiclass.MulticlassPrecision(classes, average="none"),
            "confusion": multiclass.MulticlassConfusionMatrix(classes),
            "calibration_error": multiclass.MulticlassCalibrationError(classes, n_bins=15),
        }
    )


def segmentation_metrics(classes: int) -> torchmetrics.MetricCollection:
    """Mean intersection over union, the share of pixels that are right, and each class's own overlap."""
    import torchmetrics

    multiclass = torchmetrics.classification
    return torchmetrics.MetricCollection(
        {
            "mean_iou": multiclass.MulticlassJaccardIndex(classes, average="macro", ignore_index=IGNORED),
            "pixel_accuracy": multiclass.MulticlassAccuracy(classes, average="micro", ignore_index=IGNORED),
            "iou": multiclass.MulticlassJaccardIndex(classes, average="none", ignore_index=IGNORED),
            "recall": multiclass.MulticlassRecall(classes, average="none", ignore_index=IGNORED),
        }
    )


TASKS: Mapping[str, Task] = {
    "classification": Task(
        name="classification",
        score="accuracy",
        loss=cross_entropy,
        metrics=classification_metrics,
        load=load_splits,
        read=read_splits,
        dataset=ImageDataset,
        probes=True,
    ),
    "segmentation": Task(
        name="segmentation",
        score="mean_iou",
        loss=pixel_cross_entropy,
        metrics=segmentation_metrics,
        load=load_masked_splits,
        read=read_masked_splits,
        dataset=MaskedDataset,
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
