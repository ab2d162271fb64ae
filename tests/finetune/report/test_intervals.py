"""Intervals hold what they promise, and points are those of the metrics themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional import classification as functional

from finetune.records.estimate import wilson_interval
from finetune.report.intervals import (
    calibration_error,
    class_intervals,
    compare,
    confusion_intervals,
    iou_interval,
)

CONFUSION = np.array([[40, 5, 0, 0], [10, 20, 3, 0], [0, 2, 30, 0], [0, 0, 0, 0]])
PAIRS = np.repeat(np.argwhere(CONFUSION > 0), CONFUSION[CONFUSION > 0], axis=0)


def test_points_are_those_of_torchmetrics() -> None:
    targets, answers = (torch.from_numpy(PAIRS[:, axis]) for axis in (0, 1))
    found = confusion_intervals(CONFUSION)
    assert found["accuracy"].value == pytest.approx(90 / 110)
    assert found["f1"].value == pytest.approx(float(functional.multiclass_f1_score(answers, targets, 4)))
    recall = functional.multiclass_accuracy(answers, targets, 4, average="macro")
    assert found["balanced_accuracy"].value == pytest.approx(float(recall))
    each = class_intervals(CONFUSION, ("a", "b", "c", "d"))
    f1 = functional.multiclass_f1_score(answers, targets, 4, average="none")
    assert [one["f1"].value for one in each.values()] == pytest.approx(f1.tolist())
    assert (each["d"]["recall"].low, each["d"]["recall"].high) == (0, 1)  # nothing is known about it


def test_every_interval_holds_its_value() -> None:
    every = [*confusion_intervals(CONFUSION).values()]
    every += [
        one for metrics in class_intervals(CONFUSION, tuple("abcd")).values() for one in metrics.values()
    ]
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in every)
    low, high = wilson_interval(90 / 110, 110)
    assert (every[0].low, every[0].high) == (low, high)


def test_no_error_does_not_mean_certainty() -> None:
    found = confusion_intervals(np.diag([10, 10]))
    assert found["f1"].low == found["accuracy"].low < 0.9


def test_mean_f1_of_new_images_is_inside_its_interval() -> None:
    generator, truth, inside = np.random.default_rng(0), CONFUSION[:3, :3] / CONFUSION.sum(), 0
    of = confusion_intervals((truth * 1e6).astype(np.int64))["f1"].value
    for _ in range(60):
        one = confusion_intervals(generator.multinomial(150, truth.ravel()).reshape(3, 3))["f1"]
        inside += one.low <= of <= one.high
    assert inside >= 52


def test_iou_counts_pixels_of_all_images_together() -> None:
    overlaps = np.array([[[5, 0], [10, 0], [10, 0]], [[5, 0], [5, 0], [5, 0]]])
    mean, each = iou_interval(overlaps)
    assert each[0].value == pytest.approx(10 / 20)
    assert (each[1].value, mean.value) == (0, pytest.approx(0.25))
    assert each[0].low < 0.5 < each[0].high


def test_calibration_error_and_its_change() -> None:
    confidence, correct = np.full(200, 0.9), np.repeat([1.0, 0.0], [140, 60])
    assert calibration_error(confidence, correct) == pytest.approx(0.2)
    logits = torch.tensor([[0.7, 0.3]] * 10)
    torchs = functional.multiclass_calibration_error(logits, torch.tensor([0] * 7 + [1] * 3), 2, n_bins=15)
    assert calibration_error(np.full(10, 0.7), np.repeat([1.0, 0.0], [7, 3])) == pytest.approx(
        float(torchs), abs=1e-6
    )
    before = {"confidence": confidence, "correct": correct}
    change = compare(before, before | {"confidence": np.full(200, 0.7)}, calibration_error)
    assert change.after.value == pytest.approx(0, abs=1e-9)
    assert change.difference.high < 0 < change.before.low < 0.2 < change.before.high
