"""Who wins, and whether another round could change that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from finetune.planning.race.belief import Belief
from finetune.planning.race.experience import RACERS, angle
from finetune.planning.race.verdict import leader, winner, worth_of_a_round

R = len(RACERS)


def belief(*accuracies: float, error: float = 0.05) -> Belief:
    """Whole runs of these accuracies, their angles give or take `error`, and short ones much the same."""
    angles = [angle(accuracy) for accuracy in accuracies]
    whole = np.diag(np.full(R, error**2))
    return Belief(np.array([*angles, *angles]), np.block([[whole, whole], [whole, whole + 1e-3 * np.eye(R)]]))


def test_the_dearer_wins_where_it_is_clearly_better() -> None:
    assert winner(RACERS, belief(0.7, 0.7, 0.8, 0.9)) == "full"


def test_the_cheaper_stays_where_the_difference_is_not_worth_a_dearer_training() -> None:
    assert winner(RACERS, belief(0.985, 0.9, 0.9, 0.994, error=1e-3)) == "linear_probe"
    assert winner(RACERS, belief(0.975, 0.9, 0.9, 0.994, error=1e-3)) == "full"


def test_the_order_decides_between_equals() -> None:
    assert (
        leader(RACERS, belief(0.8, 0.8, 0.8, 0.8)) == winner(RACERS, belief(0.8, 0.8, 0.8, 0.8)) == RACERS[0]
    )


def test_only_those_that_race_can_win() -> None:
    assert winner(("linear_probe", "partial"), belief(0.7, 0.9, 0.8, 0.95)) == "partial"


def test_a_round_is_worth_much_between_strategies_that_may_lie_far_apart() -> None:
    open_race, settled = belief(0.8, 0.5, 0.5, 0.8, error=0.4), belief(0.8, 0.5, 0.5, 0.95, error=0.03)
    seen = {"linear_probe": np.repeat([1.0, 0.0], [80, 20])}
    assert worth_of_a_round("full", RACERS, open_race, seen, 50) > 0.02
    assert worth_of_a_round("full", RACERS, settled, seen, 50) < 1e-4
    assert worth_of_a_round("partial", RACERS, settled, seen, 50) < 1e-4
    assert worth_of_a_round("full", ("full",), open_race, seen, 50) == 0


def test_more_images_are_worth_more_and_a_known_answer_nothing() -> None:
    doubt = belief(0.8, 0.5, 0.5, 0.8, error=0.4)
    seen = {"linear_probe": np.repeat([1.0, 0.0], [80, 20])}
    worth = [worth_of_a_round("full", RACERS, doubt, seen, images) for images in (5, 50, 500)]
    assert worth == sorted(worth)
    assert worth[0] > 0
    known = replace(doubt, spread=doubt.spread * 1e-12)
    assert worth_of_a_round("full", RACERS, known, seen, 50) == pytest.approx(0, abs=1e-6)


def test_the_worth_of_a_round_is_what_looking_gains_on_average() -> None:
    doubt = belief(0.8, 0.1, 0.1, 0.82, error=0.2)
    seen = {"linear_probe": np.repeat([1.0, 0.0], [80, 20])}
    then = doubt.after_a_round("full", seen, 100)
    draws = np.random.default_rng(0).normal(
        doubt.gain("full", over="linear_probe").value, doubt.learnt("full", "linear_probe", then), 400_000
    )
    by_looking = np.maximum(draws, 0).mean() - max(draws.mean(), 0)
    worth = worth_of_a_round("full", RACERS, doubt, seen, 100)
    assert worth == pytest.approx(by_looking, rel=0.02)


def test_what_is_not_sure_has_to_be_expected_to_bring_as_much() -> None:
    assert winner(RACERS, belief(0.70, 0.60, 0.60, 0.73, error=0.2)) == "full"
