"""Balancing: rare classes are recognised more often, in every way of training; and when that is advised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from small_kit import QUIET
from subject_kit import make_subject

from finetune.config import FinetuneSettings
from finetune.data import ArrayImage, Split, Splits
from finetune.data.dataset import batch_indices, equal_chances
from finetune.fit.execute import execute_plan
from finetune.records.calibration import Interval
from finetune.records.run_folder import RunFolder
from finetune.report.advice import advise
from finetune.tasks.evaluate import evaluate_artifact

pytestmark = pytest.mark.usefixtures("seeded")
COUNTS = (300, 40, 15)


def draw(counts: tuple[int, ...], seed: int) -> Split:
    """Squares of noise that are a little brighter in each class: some are hard to tell."""
    random = np.random.default_rng(seed)
    targets = np.repeat(np.arange(len(counts)), counts)
    pixels = random.normal(60 + 45 * targets[:, None, None], 5, (len(targets), 8, 8))
    pixels += random.normal(0, 30, (len(targets), 1, 1))
    grey = np.clip(pixels, 0, 255).astype(np.uint8)[..., None].repeat(3, -1)
    images = tuple(ArrayImage(f"{seed}-{number}", one) for number, one in enumerate(grey))
    return Split(images, targets, targets)


SPLITS = Splits(("a", "b", "c"), draw(COUNTS, 0), draw(COUNTS, 1), draw((60, 60, 60), 2))


def balanced_accuracy(folder: Path, strategy: str, balance: str) -> float:
    given = {"finetune.strategy": strategy, "finetune.balance": balance, "finetune.epochs": 10}
    folder.mkdir()
    subject = make_subject(folder, given, SPLITS)
    trained = execute_plan(subject.setup, subject.plan, RunFolder(folder), QUIET)
    setup = subject.setup
    found = evaluate_artifact(trained.net, setup.preprocess, setup.test, setup.task, setup.classes)
    return found.numbers["balanced_accuracy"]


def test_rare_classes_are_recognised_more_often(tmp_path: Path) -> None:
    found = {way: balanced_accuracy(tmp_path / way, "scratch", way) for way in ("none", "sampling", "loss")}
    assert min(found["sampling"], found["loss"]) > found["none"] + 0.15


def test_every_class_is_drawn_as_often() -> None:
    strata = np.repeat([0, 1], [90, 10])
    batches = batch_indices(100, 16, 1, 0, equal_chances(strata))
    rows = np.concatenate(batches)
    assert len(rows) == 100
    assert 35 <= np.count_nonzero(strata[rows] == 1) <= 65
    assert batches == batch_indices(100, 16, 1, 0, equal_chances(strata))


def test_balancing_is_advised_where_it_would_clearly_pay(tmp_path: Path) -> None:
    setup = make_subject(tmp_path, {}, SPLITS).setup
    clear = {"accuracy": Interval(0.9, 0.85, 0.95), "balanced_accuracy": Interval(0.6, 0.5, 0.7)}
    noise = {"accuracy": Interval(0.9, 0.85, 0.95), "balanced_accuracy": Interval(0.85, 0.75, 0.92)}
    assert "60.0% is the mean over the classes, 90.0% over the images" in next(advise(setup, clear))
    assert not list(advise(setup, noise))
    assert not list(advise(replace(setup, train=setup.test), clear))  # classes of equal size


def test_a_loss_without_class_weights_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected loss cross_entropy or focal, or balance sampling"):
        FinetuneSettings.model_validate({"balance": "loss", "loss": "dice"})
