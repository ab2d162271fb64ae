"""Who wins, and whether another round could change that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from finetune.planning.race.decision import choose_winner, find_leader, round_gain
from finetune.planning.race.posterior import Posterior
from finetune.planning.race.prior import angle
from finetune.strategies import racing_names

RACERS = racing_names()
R = len(RACERS)


def posterior(*accuracies: float, error: float = 0.05) -> Posterior:
    """Whole runs of these accuracies, their angles give or take `error`, and short ones much the same."""
    angles = [angle(accuracy) for accuracy in accuracies]
    whole = np.diag(np.full(R, error**2))
    return Posterior(
        RACERS, np.array([*angles, *angles]), np.block([[whole, whole], [whole, whole + 1e-3 * np.eye(R)]])
    )


def test_the_dearer_wins_where_it_is_clearly_better() -> None:
    assert choose_winner(RACERS, posterior(0.7, 0.7, 0.8, 0.9)) == "full"


def test_the_cheaper_one_wins_unless_the_gain_is_large_enough() -> None:
    assert choose_winner(RACERS, posterior(0.985, 0.9, 0.9, 0.994, error=1e-3)) == "linear_probe"
    assert choose_winner(RACERS, posterior(0.975, 0.9, 0.9, 0.994, error=1e-3)) == "full"


def test_the_order_decides_between_equals() -> None:
    assert (
        find_leader(RACERS, posterior(0.8, 0.8, 0.8, 0.8))
        == choose_winner(RACERS, posterior(0.8, 0.8, 0.8, 0.8))
        == RACERS[0]
    )


def test_only_those_that_race_can_win() -> None:
    assert choose_winner(("linear_probe", "partial"), posterior(0.7, 0.9, 0.8, 0.95)) == "partial"


def test_a_round_gains_more_where_the_prior_is_wide() -> None:
    open_race, settled = posterior(0.8, 0.5, 0.5, 0.8, error=0.4), posterior(0.8, 0.5, 0.5, 0.95, error=0.03)
    seen = {"linear_probe": np.repeat([1.0, 0.0], [80, 20])}
    assert round_gain("full", RACERS, open_race, seen, 50) > 0.02
    assert round_gain("full", RACERS, settled, seen, 50) < 1e-4
    assert round_gain("partial", RACERS, settled, seen, 50) < 1e-4
    assert round_gain("full", ("full",), open_race, seen, 50) == 0


def test_more_images_gain_more_and_a_known_answer_nothing() -> None:
    doubt = posterior(0.8, 0.5, 0.5, 0.8, error=0.4)
    seen = {"linear_probe": np.repeat([1.0, 0.0], [80, 20])}
    worth = [round_gain("full", RACERS, doubt, seen, images) for images in (5, 50, 500)]
    assert worth == sorted(worth)
    assert worth[0] > 0
    known = replace(doubt, cov=doubt.cov * 1e-12)
    assert round_gain("full", RACERS, known, seen, 50) == pytest.approx(0, abs=1e-6)


def test_the_round_gain_is_the_mean_gain_over_draws() -> None:
    doubt = posterior(0.8, 0.1, 0.1, 0.82, error=0.2)
    seen = {"linear_probe": np.repeat([1.0, 0.0], [80, 20])}
    then = doubt.after_round("full", seen, 100)
    draws = np.random.default_rng(0).normal(
        doubt.gain("full", over="linear_probe").value,
        doubt.expected_change("full", "linear_probe", then),
        400_000,
    )
    by_looking = np.maximum(draws, 0).mean() - max(draws.mean(), 0)
    worth = round_gain("full", RACERS, doubt, seen, 100)
    assert worth == pytest.approx(by_looking, rel=0.02)


def test_an_uncertain_gain_counts_by_its_mean() -> None:
    assert choose_winner(RACERS, posterior(0.70, 0.60, 0.60, 0.73, error=0.2)) == "full"
