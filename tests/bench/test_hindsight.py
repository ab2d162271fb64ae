"""Recorded races, held again by what other data told."""

from __future__ import annotations

import numpy as np
import pytest

from bench.hindsight import everything, halve, other_both, other_data, other_networks, race_again, replay
from bench.prior import RACERS
from bench.regret import by_cell
from finetune.planning.race.prior import read_rows

ROUNDS = [list(range(start, start + 20)) for start in range(0, 60, 20)]
WHOLE = {"linear_probe": 0.5, "stage_probe": 0.6, "partial": 0.8, "full": 0.7, "scratch": 0.1}
LINES = [
    {"data": "digits", "images": 5, "way": name, "draw": 0, "accuracy": value, "seconds": 1.0}
    for name, value in WHOLE.items()
]


def record(**shares: float) -> dict[str, object]:
    """A race on 100 images of which each strategy is right on such a share."""
    correct = {name: (np.arange(100) % 10 < 10 * shares[name]).astype(float).tolist() for name in RACERS}
    return {
        "network": "resnet_small",
        "data": "digits",
        "images": 5,
        "similarity": "different",
        "drift": 0.5,
        "chance": 0.1,
        "rounds": ROUNDS,
        "correct": correct,
    }


def test_a_data_set_is_left_out_of_its_own_prior() -> None:
    line = record(linear_probe=0.5, stage_probe=0.5, partial=0.5, full=0.5)
    rows = [
        {"network": network, "data": data}
        for network in ("resnet_small", "resnet_tiny")
        for data in ("digits", "flowers")
    ]
    assert {row["data"] for row in everything(line, rows)} > {row["data"] for row in other_data(line, rows)}
    assert "digits" not in {row["data"] for row in other_data(line, rows)}
    assert "resnet_small" not in {row["network"] for row in other_networks(line, rows)}
    assert other_both(line, rows) == [
        row for row in other_data(line, rows) if row in other_networks(line, rows)
    ]


def test_the_recorded_answers_are_what_is_asked() -> None:
    race = race_again(record(linear_probe=0.3, stage_probe=0.3, partial=0.3, full=0.9), read_rows())
    assert race.winner == "full"
    asked = np.flatnonzero(np.isfinite(race.answers["full"]))
    assert list(asked) == [image for images in ROUNDS[: race.rounds] for image in images]
    assert race.answers["full"][asked].mean() == pytest.approx(0.9)


def test_what_the_winner_falls_short_of_the_best_is_its_regret() -> None:
    line = record(linear_probe=0.3, stage_probe=0.3, partial=0.3, full=0.9)
    found = replay(line, by_cell(LINES), read_rows())
    assert found.regret == pytest.approx(10)
    assert found.trials > 0
    assert found.off is not None
    assert found.off < 0


def test_successive_halving_takes_the_highest_held_out_accuracy() -> None:
    found = halve(record(linear_probe=0.3, stage_probe=0.2, partial=0.4, full=0.9), by_cell(LINES))
    assert found.regret == pytest.approx(10)
    assert found.trials == 2 + 2  # both in the first round; in the second, the two that were better
    found = halve(record(linear_probe=0.5, stage_probe=0.6, partial=0.5, full=0.1), by_cell(LINES))
    assert found.regret == pytest.approx(20)
    assert found.trials == 2
