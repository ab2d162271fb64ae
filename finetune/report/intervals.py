"""95% intervals of metrics: Wilson's score for shares, the bootstrap over images for everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from finetune.records.calibration import Change, Interval
from finetune.records.estimate import wilson_interval

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

RESAMPLES = 1000
BINS = 15
"""Of the calibration error, as finetune/metrics has it."""
LOW, HIGH = 0.025, 0.975


def share_interval(correct: float, count: int) -> Interval:
    """Return the share `correct / count`, and Wilson's interval; of no images, any share is possible."""
    if not count:
        return Interval(0.0, 0.0, 1.0)
    return Interval(correct / count, *wilson_interval(correct / count, count))


def class_intervals(confusion: Counts, classes: tuple[str, ...]) -> dict[str, dict[str, Interval]]:
    """Return precision, recall and F1 of each class: label -> metric -> interval.

    In: counts of images, (true class, predicted class). F1 is 2 J / (1 + J) of the share J of the images with
    this class or this answer that have both, so that its interval follows from Wilson's for J.
    """
    right, true, answered = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    found = {}
    for number, label in enumerate(classes):
        joint = share_interval(right[number], int(true[number] + answered[number] - right[number]))
        f1 = Interval(*(2 * share / (1 + share) for share in (joint.value, joint.low, joint.high)))
        found[label] = {
            "recall": share_interval(right[number], int(true[number])),
            "precision": share_interval(right[number], int(answered[number])),
            "f1": f1,
        }
    return found


def confusion_intervals(confusion: Counts) -> dict[str, Interval]:
    """Return accuracy, balanced accuracy and mean F1 with their intervals. In: as `class_intervals`."""
    cells = np.argwhere(confusion > 0)
    counts, images = confusion[tuple(cells.T)], int(confusion.sum())
    accuracy = share_interval(int(np.trace(confusion)), images)
    draws = np.random.default_rng(0).multinomial(images, counts / images, size=RESAMPLES)
    rows, hit = np.arange(len(cells)), cells[:, 0] == cells[:, 1]
    shape = (len(cells), len(confusion))
    true, answered = (csr_array((np.ones(len(cells)), (rows, cells[:, axis])), shape) for axis in (0, 1))
    right = csr_array((hit.astype(np.float64), (rows, cells[:, 0])), shape)

    def measure(drawn: Counts) -> tuple[Array, Array]:
        """Return mean recall and mean F1 for rows of counts (rows, cells), of classes that occur."""
        hits, of_class, of_answer = drawn @ right, drawn @ true, drawn @ answered
        occurs = of_class + of_answer > 0
        f1 = np.divide(2 * hits, of_class + of_answer, out=np.zeros_like(hits), where=occurs)
        recall = np.divide(hits, of_class, out=np.zeros_like(hits), where=of_class > 0)
        return recall.sum(1) / occurs.sum(1), f1.sum(1) / occurs.sum(1)

    points, samples = measure(counts[None]), measure(draws)
    found = {"accuracy": accuracy}
    for name, point, drawn in zip(("balanced_accuracy", "f1"), points, samples, strict=True):
        found[name] = _interval(float(point[0]), drawn, lowest=0, highest=1)
        if accuracy.value == 1:  # resampling images that are all right finds no other value
            found[name] = Interval(1.0, accuracy.low, 1.0)
    return found


def iou_interval(overlaps: Counts) -> tuple[Interval, list[Interval]]:
    """Return the mean IoU and that of each class, with intervals of a bootstrap over images.

    In: (N, 3, classes), for each image and class the pixels that are right, of the class, and of the answer.
    """

    def measure(sums: Array) -> Array:
        right, true, answered = sums[..., 0, :], sums[..., 1, :], sums[..., 2, :]
        union = true + answered - right
        return np.divide(right, union, out=np.zeros(right.shape), where=union > 0)

    images = len(overlaps)
    weights = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), size=RESAMPLES)
    flat = overlaps.reshape(images, -1).astype(np.float64)
    point = measure(overlaps.sum(0))
    samples = measure((weights @ flat).reshape(RESAMPLES, *overlaps.shape[1:]))
    classes = [_interval(float(p), samples[:, k], lowest=0, highest=1) for k, p in enumerate(point)]
    return _interval(float(point.mean()), samples.mean(1), lowest=0, highest=1), classes


def calibration_error(confidence: Array, correct: Array) -> float:
    """Return the expected calibration error: the mean distance of confidence and accuracy over BINS bins.

    In: the probability of each image's answer, and 1 where it is right, (N,).
    """
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, confidence - correct, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def compare(before: Mapping[str, Array], after: Mapping[str, Array], measure: Callable[..., float]) -> Change:
    """Return a measure of the same images before and after, with intervals of a bootstrap over images.

    In: named arrays (N,), which are the arguments of `measure`.
    """
    count = len(next(iter(before.values())))
    generator = np.random.default_rng(0)
    points, pairs = (measure(**before), measure(**after)), []
    for _ in range(RESAMPLES):
        rows = generator.integers(0, count, count)
        pairs.append(
            [measure(**{name: one[rows] for name, one in arrays.items()}) for arrays in (before, after)]
        )
    drawn = np.array(pairs)
    return Change(
        _interval(points[0], drawn[:, 0], lowest=0),
        _interval(points[1], drawn[:, 1], lowest=0),
        _interval(points[1] - points[0], drawn[:, 1] - drawn[:, 0]),
    )


def _interval(point: float, samples: Array, lowest: float = -np.inf, highest: float = np.inf) -> Interval:
    """Return the basic bootstrap interval, which also corrects the bias of a measure such as the ECE."""
    low, high = 2 * point - np.quantile(samples, HIGH), 2 * point - np.quantile(samples, LOW)
    return Interval(point, float(np.clip(low, lowest, point)), float(np.clip(high, point, highest)))
