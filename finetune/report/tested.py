"""The trained network's answers for the test images, and what they show with which certainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax  # type: ignore[import-untyped]
from torch import Tensor, nn

from finetune.calibration.out_of_fold import OutOfFold
from finetune.calibration.sets import make_sets
from finetune.calibration.temperature import log_losses
from finetune.data.dataset import ImageDataset
from finetune.experiment.setup import Setup
from finetune.fit.execute import Trained
from finetune.models.calibrated import CalibratedNet, catch_head_input
from finetune.records.calibration import AnswerQuality, Calibration, Interval
from finetune.records.report import CrossValidation
from finetune.report.intervals import (
    calibration_error,
    class_intervals,
    compare,
    confusion_intervals,
    iou_interval,
    share_interval,
)
from finetune.tasks import Task
from finetune.tasks.evaluate import Evaluation, evaluate, evaluate_artifact


@dataclass(frozen=True)
class Tested:
    """The answers for N images of a split.

    For one class per image: `logits` (N, classes), calibrated, and `unknown` (N,). For one class per pixel:
    `overlaps` (N, 3, classes), the pixels that are right, of the class, and of the answer.
    """

    images: ImageDataset
    evaluation: Evaluation
    logits: NDArray[np.float32] | None = None
    unknown: NDArray[np.float32] | None = None
    overlaps: NDArray[np.int64] | None = None
    out_of_fold: bool = False
    """Whether the answers are those of cross-validation, and not of the trained network."""

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The probability of each class, (N, classes)."""
        assert self.logits is not None
        found: NDArray[np.float64] = softmax(self.logits.astype(np.float64), axis=1)
        return found


@dataclass
class Observer:
    """Keeps what is needed of each batch of logits and targets."""

    task: Task
    classes: int
    logits: list[Tensor] = field(default_factory=list)
    overlaps: list[Tensor] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    caught: list[Tensor] = field(default_factory=list)

    def __call__(self, logits: Tensor, targets: Tensor) -> None:
        """In: logits (N, classes, …), targets (N, …)."""
        if self.task.dense:
            self.overlaps.append(count_overlaps(logits, targets, self.classes, self.task.ignore_index))
        elif self.task.probabilities:
            self.logits.append(logits)
        if self.caught:
            self.inputs.append(torch.stack(self.caught).mean(0))
            self.caught.clear()


def measure_run(trained: Trained, setup: Setup, out_of_fold: OutOfFold | None = None) -> Tested:
    """Evaluate a run's network on the test split; without one, take the out-of-fold answers if there are any,
    else the validation split."""
    if out_of_fold is None or len(setup.test):
        return evaluate_network(trained.net, setup)
    assert trained.calibration is not None
    assert isinstance(trained.net, CalibratedNet)
    assert trained.net.novelty is not None
    answers = out_of_fold.answers
    logits = answers.logits / np.float32(trained.calibration.temperature)
    pair = (torch.from_numpy(logits), torch.from_numpy(answers.targets))
    found = evaluate(lambda given: given, [pair], setup.task, setup.classes, torch.device("cpu"))
    unknown = answers.distances / np.float32(trained.net.novelty.scale)
    return Tested(out_of_fold.images, found, logits, unknown, out_of_fold=True)


def cross_validation(out_of_fold: OutOfFold) -> CrossValidation:
    """Return how many of the out-of-fold answers are right, over all images and in each fold."""
    answers, folds = out_of_fold.answers, out_of_fold.folds
    right = answers.logits.argmax(1) == answers.targets
    each = tuple(float(right[folds.held_out(fold)].mean()) for fold in range(folds.count))
    return CrossValidation(folds.count, len(right), share_interval(int(right.sum()), len(right)), each)


def evaluate_network(net: nn.Module, setup: Setup) -> Tested:
    """Evaluate the trained network on the test split, or without one on the validation split."""
    images = setup.test if len(setup.test) else setup.val
    observer = Observer(setup.task, len(setup.classes))
    arguments = (net, setup.preprocess, images, setup.task, setup.classes)
    if not isinstance(net, CalibratedNet) or net.novelty is None:
        found = evaluate_artifact(*arguments, observe=observer)
        return Tested(images, found, overlaps=_join(observer.overlaps), logits=_join(observer.logits))
    with catch_head_input(net.net, net.head, (setup.preprocess.height, setup.preprocess.width)) as caught:
        observer.caught = caught
        found = evaluate_artifact(*arguments, observe=observer)
    with torch.inference_mode():
        unknown = net.novelty(torch.cat(observer.inputs)).numpy()
    return Tested(images, found, _join(observer.logits), unknown)


def count_overlaps(logits: Tensor, targets: Tensor, classes: int, ignored: int | None) -> Tensor:
    """Count pixels by class and image, without those that are not labelled.

    Out: (N, 3, classes), pixels that are right, of the class, and answered with the class.
    """
    answers, rows = logits.argmax(1).flatten(1), []
    for answer, target in zip(answers, targets.flatten(1), strict=True):
        counted = target != (-1 if ignored is None else ignored)
        given, true = answer[counted], target[counted]
        rows.append([_count(given[given == true], classes), _count(true, classes), _count(given, classes)])
    return torch.stack([torch.stack(row) for row in rows])


def measure_intervals(
    tested: Tested, setup: Setup
) -> tuple[Mapping[str, Interval], Mapping[str, Mapping[str, Interval]]]:
    """Return the metrics with their intervals, overall and by class; nothing for a task that has none."""
    if tested.evaluation.confusion is not None:
        confusion = np.array(tested.evaluation.confusion, np.int64)
        return confusion_intervals(confusion), class_intervals(confusion, setup.classes)
    if tested.overlaps is None:
        return {}, {}
    mean, each = iou_interval(tested.overlaps)
    return {"mean_iou": mean}, {label: {"iou": one} for label, one in zip(setup.classes, each, strict=True)}


def measure_quality(tested: Tested, calibration: Calibration | None) -> AnswerQuality | None:
    """Return how good the probabilities, the sets of classes and the limit for unknown images are."""
    if calibration is None or tested.logits is None or tested.unknown is None:
        return None
    targets, probabilities = tested.images.split.targets, tested.probabilities
    count, every = len(targets), np.arange(len(targets))
    raw = tested.logits * calibration.temperature
    losses = [{"losses": log_losses(logits, targets)} for logits in (raw, tested.logits)]
    correct = (probabilities.argmax(1) == targets).astype(np.float64)
    sure = [
        {"confidence": softmax(logits.astype(np.float64), axis=1).max(1), "correct": correct}
        for logits in (raw, tested.logits)
    ]
    quality = AnswerQuality(
        log_loss=compare(losses[0], losses[1], lambda losses: float(losses.mean())),
        calibration_error=compare(sure[0], sure[1], calibration_error),
        kept=share_interval(int((tested.unknown <= 1).sum()), count),
    )
    if calibration.set_probability is None:
        return quality
    inside = make_sets(probabilities, calibration.set_probability)
    covered = share_interval(int(inside[every, targets].sum()), count)
    return replace(quality, coverage=covered, set_size=float(inside.sum(1).mean()))


def _count(values: Tensor, classes: int) -> Tensor:
    return torch.bincount(values.long(), minlength=classes)


def _join(parts: list[Tensor]) -> NDArray[Any] | None:
    return torch.cat(parts).numpy() if parts else None
