"""The diagnosis of a run from its records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from finetune.checks.run import read_failed
from finetune.monitor.diagnosis import GOOD_FIT, diagnose, flag_dead, flag_updates, weigh_checks
from finetune.records.metrics_log import EpochRecord, Measurements
from finetune.tasks import find_task

USUAL = {"conv1": 1e-3, "fc": 2e-3}


def record(
    epoch: int,
    train: float,
    val: float,
    *,
    best: bool = True,
    loss: float = 0.5,
    ratios: Mapping[str, float] = USUAL,
    rate_factor: float = 1.0,
    dead: Mapping[str, float] | None = None,
) -> EpochRecord:
    measured = Measurements(0.5, train, 400, (0.1,), 1.0, {}, ratios, rate_factor, dead or {})
    return EpochRecord(epoch, epoch, loss, 0.1, 1.0, 0.5, val, best, measured=measured)


def read(*records: EpochRecord, val_images: int = 400) -> tuple[str, ...]:
    return diagnose(records, find_task("classification"), classes=10, val_images=val_images)


@pytest.mark.parametrize(
    ("train", "val", "finding"),
    [
        (0.99, 0.80, "overfitting; more regularisation, augmentation or images would help"),
        (0.60, 0.58, "no gap, and the score still improved at the end; more capacity"),
        (0.97, 0.96, "a good fit"),
        (0.99, 0.11, "memorised; new images are guessed: do the labels fit the images?"),
    ],
)
def test_the_fit_follows_from_the_gap(train: float, val: float, finding: str) -> None:
    (sentence,) = read(record(1, train, val))
    assert sentence.startswith(
        f"train accuracy {train:.3f}, val accuracy {val:.3f}, gap {train - val:.3f} ± 0.0"
    )
    assert finding in sentence


def test_a_gap_within_the_error_of_few_images_is_not_reported() -> None:
    assert "overfitting" in read(record(1, 0.95, 0.85), val_images=1000)[0]
    assert "a good fit" in read(record(1, 0.95, 0.85), val_images=20)[0]


def test_the_best_epoch_is_judged() -> None:
    sentences = read(record(1, 0.6, 0.59), record(2, 0.7, 0.5, best=False))
    assert sentences[0].startswith("train accuracy 0.600")
    assert "still improved" not in sentences[0]


@pytest.mark.parametrize(
    ("ratios", "loss", "advice", "finding"),
    [
        ({"a": 5e-5, "b": 2e-2, "c": 3e-2}, 0.5, "lower", "weights move a lot in b (2e-02), c (3e-02)"),
        ({"a": 5e-5, "b": 6e-5, "c": 3e-2}, 0.5, "higher", "weights hardly move in a (5e-05), b (6e-05)"),
        ({"a": 5e-5, "b": 1e-3}, 2.31, "higher", "guess, and weights hardly move in a (5e-05)"),
        ({"a": 2e-2, "b": 1e-3}, 2.31, "lower", "weights move a lot in a (2e-02)"),
        ({"a": 1e-3}, 2.31, "higher", "the training loss hardly fell below that of a guess"),
        ({"a": 5e-5, "b": 2e-2}, 0.5, None, ""),
        ({"a": 5e-5, "b": 2e-2}, 2.31, None, ""),
    ],
)
def test_there_is_one_advice_on_the_learning_rate(
    ratios: dict[str, float], loss: float, advice: str | None, finding: str
) -> None:
    sentences = read(*(record(epoch, 0.1, 0.1, loss=loss, ratios=ratios) for epoch in (1, 2)))
    assert len(sentences) == (1 if advice is None else 2)
    if advice is not None:
        assert finding in sentences[1]
        assert sentences[1].endswith(f": a {advice} learning rate may help")


def test_a_flat_loss_is_no_fault_of_a_run_that_fits() -> None:
    assert len(read(record(1, 0.97, 0.96, loss=2.31))) == 1


def test_small_updates_at_the_end_of_the_schedule_are_no_fault() -> None:
    assert flag_updates({"fc": 1e-6}, rate_factor=0.1) == ()
    assert flag_updates({"fc": 1e-6}, rate_factor=0.9) == ("fc moves by 1.0e-06 of its weights per step",)
    late = record(2, 0.97, 0.96, ratios={"conv1": 1e-7, "fc": 1e-7}, rate_factor=0.01)
    assert len(read(record(1, 0.97, 0.96), late)) == 1


def test_dead_units_are_reported() -> None:
    assert "75% of act1 is dead" in read(record(1, 0.97, 0.96, dead={"act1": 0.75, "act2": 0.1}))
    assert flag_dead({"act2": 0.5}) == ()


def test_a_run_without_measurements_has_no_diagnosis() -> None:
    assert read(EpochRecord(1, 1, 1.0, 0.1, 1.0, 0.5, 0.5, best=True)) == ()


def test_the_diagnosis_agrees_with_the_checks_before_training(tmp_path: Path) -> None:
    assert read_failed(tmp_path) == ()
    (tmp_path / "checks.json").write_text(
        '{"checks": [{"name": "inputs", "status": "passed"}, {"name": "initial_loss", "status": "failed"}]}'
    )
    failed = read_failed(tmp_path)
    assert weigh_checks((GOOD_FIT, "more"), failed) == (
        "a good fit, so the check initial_loss, which failed before training, needs no change",
        "more",
    )
    assert weigh_checks(("no gap",), failed)[0].startswith(
        "no gap. First follow the advice of the check initial"
    )
    assert weigh_checks(("no gap",), ()) == ("no gap",)
    assert weigh_checks((), failed) == ()
