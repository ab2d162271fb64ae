"""What differs between classification and segmentation, in one object each.

The loop, the plan and the exporter ask the task, and never which task it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.errors import GraftError

if TYPE_CHECKING:
    import torchmetrics

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """One kind of answer a network can give.

    `loss(label_smoothing)` takes logits and targets (class numbers, or a distribution over the classes
    when images were mixed); `metrics(classes)` collects over batches of the same two; `score` names the
    metric that training maximises.
    """

    name: Literal["classification", "segmentation"]
    score: str
    loss: Callable[[float], Loss]
    metrics: Callable[[int], torchmetrics.MetricCollection]


def cross_entropy(label_smoothing: float) -> Loss:
    """Cross-entropy over dimension 1, with the label smoothing of Szegedy et al. 2015, arXiv:1512.00567."""

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)

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


TASKS: Mapping[str, Task] = {
    "classification": Task("classification", "accuracy", cross_entropy, classification_metrics),
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
