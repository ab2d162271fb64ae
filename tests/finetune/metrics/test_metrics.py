"""Metrics by name."""

from __future__ import annotations

import pytest
import torch

from finetune.metrics.registry import METRICS, build_metrics
from zoo.errors import UnknownNameError

LOGITS = torch.tensor([[2.0, 1.0], [3.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
TARGETS = torch.tensor([0, 0, 1, 1])


def test_every_metric_is_built_by_its_name() -> None:
    metrics = build_metrics(METRICS.names(), 2)
    metrics.update(LOGITS, TARGETS)
    found = {name: value.tolist() for name, value in metrics.compute().items()}
    assert found.pop("calibration_error") > 0
    assert found == {
        "accuracy": 0.75,
        "pixel_accuracy": 0.75,
        "balanced_accuracy": 0.75,
        "f1": pytest.approx((0.8 + 2 / 3) / 2),
        "recall": [1.0, 0.5],
        "precision": [pytest.approx(2 / 3), 1.0],
        "confusion": [[2, 0], [1, 1]],
        "mean_iou": pytest.approx((2 / 3 + 1 / 2) / 2),
        "iou": [pytest.approx(2 / 3), 0.5],
    }


def test_the_ignored_class_does_not_count() -> None:
    metrics = build_metrics(["accuracy", "iou"], 2, ignore_index=255)
    metrics.update(LOGITS, torch.tensor([0, 0, 1, 255]))
    assert metrics.compute()["accuracy"] == 1
    assert metrics.compute()["iou"].tolist() == [1, 1]


def test_an_unknown_metric_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'accuracy'"):
        build_metrics(["acuracy"], 2)
