"""The metrics of predictions, one function each, which returns a metric of torchmetrics.

Every function takes the number of classes and the class index to ignore, or None. In each metric's
`update`: logits (N, classes, …) and class indices (N, …). Torchmetrics takes seconds to import, and is
imported when a metric is built.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from zoo.registry import Registry

if TYPE_CHECKING:
    from torchmetrics import Metric, MetricCollection

METRICS = Registry("metric")
metric = METRICS.register


def build_metrics(names: Iterable[str], classes: int, ignore_index: int | None = None) -> MetricCollection:
    """Return the named metrics as one collection, in the order of the names."""
    from torchmetrics import MetricCollection

    return MetricCollection({name: METRICS[name].function(classes, ignore_index) for name in names})


@metric
def accuracy(classes: int, ignore_index: int | None) -> Metric:
    """Share of images, or of pixels, whose most probable class is right."""
    return _multiclass("Accuracy", classes, average="micro", ignore_index=ignore_index)


@metric
def pixel_accuracy(classes: int, ignore_index: int | None) -> Metric:
    """The same as accuracy, of masks."""
    return accuracy(classes, ignore_index)


@metric
def balanced_accuracy(classes: int, ignore_index: int | None) -> Metric:
    """Mean recall of the classes."""
    return _multiclass("Accuracy", classes, average="macro", ignore_index=ignore_index)


@metric
def f1(classes: int, ignore_index: int | None) -> Metric:
    """Mean F1 score of the classes."""
    return _multiclass("F1Score", classes, average="macro", ignore_index=ignore_index)


@metric
def recall(classes: int, ignore_index: int | None) -> Metric:
    """Recall of each class, (classes,)."""
    return _multiclass("Recall", classes, average="none", ignore_index=ignore_index)


@metric
def precision(classes: int, ignore_index: int | None) -> Metric:
    """Precision of each class, (classes,)."""
    return _multiclass("Precision", classes, average="none", ignore_index=ignore_index)


@metric
def confusion(classes: int, ignore_index: int | None) -> Metric:
    """Confusion matrix (classes, classes): rows are true classes, columns are predictions."""
    return _multiclass("ConfusionMatrix", classes, ignore_index=ignore_index)


@metric
def calibration_error(classes: int, ignore_index: int | None) -> Metric:
    """Expected calibration error over 15 bins. Source: Guo et al. 2017, arXiv:1706.04599."""
    return _multiclass("CalibrationError", classes, n_bins=15, ignore_index=ignore_index)


@metric
def mean_iou(classes: int, ignore_index: int | None) -> Metric:
    """Mean intersection over union of the classes."""
    return _multiclass("JaccardIndex", classes, average="macro", ignore_index=ignore_index)


@metric
def iou(classes: int, ignore_index: int | None) -> Metric:
    """Intersection over union of each class, (classes,)."""
    return _multiclass("JaccardIndex", classes, average="none", ignore_index=ignore_index)


def _multiclass(name: str, classes: int, **options: Any) -> Metric:  # noqa: ANN401  as torchmetrics takes them
    from torchmetrics import classification

    return getattr(classification, f"Multiclass{name}")(classes, **options)
