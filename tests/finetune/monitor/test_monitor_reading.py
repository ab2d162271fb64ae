"""The words that the numbers of a run are put into."""

from __future__ import annotations

from typing import Any

import pytest

from finetune.monitor.reading import flag_dead, flag_updates, read_training

FINE = {"conv1": 1e-3, "fc": 2e-3}


def line(epoch: int, train: float, val: float, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "epoch": epoch,
        "train_accuracy": train,
        "val_accuracy": val,
        "train_images": 400,
        "train_loss": 0.5,
        "best": True,
        "update_ratios": FINE,
        "rate_factor": 1.0,
        "dead_units": {},
        **more,
    }


def read(*lines: dict[str, Any], val_images: int = 400) -> tuple[str, ...]:
    return read_training(lines, "accuracy", classes=10, val_images=val_images)


@pytest.mark.parametrize(
    ("train", "val", "words"),
    [
        (0.99, 0.80, "overfitting; more regularisation, augmentation or images would help"),
        (0.60, 0.58, "no gap, and it still got better at the end; more capacity"),
        (0.97, 0.96, "a good fit"),
        (0.99, 0.11, "learnt by heart, and new images guessed: do the labels belong to them?"),
    ],
)
def test_the_gap_in_words(train: float, val: float, words: str) -> None:
    (said,) = read(line(1, train, val))
    assert said.startswith(f"train accuracy {train:.3f}, val accuracy {val:.3f}, gap {train - val:.3f} ± 0.0")
    assert words in said


def test_a_gap_that_few_images_would_show_by_chance_is_none() -> None:
    assert "overfitting" in read(line(1, 0.95, 0.85), val_images=1000)[0]
    assert "a good fit" in read(line(1, 0.95, 0.85), val_images=20)[0]


def test_the_best_epoch_is_read_and_what_came_after_it_told() -> None:
    first, last = line(1, 0.6, 0.59), line(2, 0.7, 0.5, best=False)
    assert read(first, last)[0].startswith("train accuracy 0.600")
    assert "still got better" not in read(first, last)[0]


def test_updates_off_by_ten_are_told_by_layer() -> None:
    off = {"conv1": 5e-5, "fc1": 1e-3, "fc": 2e-2}
    said = read(*(line(epoch, 0.97, 0.96, update_ratios=off) for epoch in (1, 2)))
    assert said[1:] == (
        "weights hardly move in conv1 (5e-05); about 1e-3 a step is usual: a higher rate may serve",
        "weights move a lot in fc (2e-02); about 1e-3 a step is usual: a lower rate may serve",
    )


def test_small_updates_at_the_end_of_the_schedule_are_no_fault() -> None:
    assert flag_updates({"fc": 1e-6}, factor=0.1) == []
    assert flag_updates({"fc": 1e-6}, factor=0.9) == ["fc moves by 1.0e-06 of its weights a step"]
    late = line(2, 0.97, 0.96, update_ratios={"conv1": 1e-7, "fc": 1e-7}, rate_factor=0.01)
    assert len(read(line(1, 0.97, 0.96), late)) == 1


def test_dead_units_and_a_flat_loss_are_told() -> None:
    said = read(line(1, 0.1, 0.1, train_loss=2.31, dead_units={"act1": 0.75, "act2": 0.1}))
    assert "the training loss hardly fell below a guess's: the learning rate may be too low" in said
    assert "75% of act1 is dead" in said
    assert flag_dead({"act2": 0.5}) == []


def test_a_run_that_was_not_measured_says_nothing() -> None:
    assert read({"epoch": 1, "val_accuracy": 0.5, "best": True, "train_loss": 1.0}) == ()
