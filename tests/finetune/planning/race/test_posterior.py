"""What is believed of whole runs, from the benchmark and from right answers on left-out images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from race_kit import answers, make_prior

from finetune.planning.race.decision import MIN_ROUND_GAIN, choose_winner, round_gain
from finetune.planning.race.posterior import compute_posterior, is_at_chance, measure_answers, start_posterior
from finetune.planning.race.prior import angle, fit_prior, read_prior, read_rows
from finetune.strategies import STRATEGIES, racing_names

RACERS = racing_names()
R = len(RACERS)
FIRST, FULL = RACERS[0], RACERS[-1]


def test_the_prior_has_every_racing_strategy() -> None:
    assert tuple(name for name, strategy in STRATEGIES.items() if strategy.pretrained) == RACERS
    found = read_prior()
    assert found.lead[0] == 0
    assert found.lead_cov[0] == pytest.approx(np.zeros(R))
    for spread in (found.lead_cov[1:, 1:], found.growth_cov):
        assert np.linalg.eigvalsh(spread).min() > -1e-9


def test_full_is_tried_where_a_probe_is_far_from_certain_and_not_where_it_knows_nearly_all() -> None:
    """Photographs like those of ImageNet: 3,000 that a probe knows 75% of, and 400 that it knows 99% of."""
    for right, images, tried in ((0.75, 3000, True), (0.99, 400, False)):
        correct = np.arange(images) < right * images
        probed = {"linear_probe": correct.astype(float), "stage_probe": correct.astype(float)}
        posterior = compute_posterior(read_prior(), probed, 0.2)
        asked = choose_winner(RACERS, posterior) in ("partial", "full") or any(
            round_gain(name, RACERS, posterior, probed, 100) >= MIN_ROUND_GAIN for name in ("partial", "full")
        )
        assert asked == tried


def test_few_images_like_the_weights_own_are_left_to_a_linear_classifier() -> None:
    """Ten classes of four images, of which a probe knows three quarters."""
    correct = (np.arange(40) < 30).astype(float)
    probed = {"linear_probe": correct, "stage_probe": correct}
    known = {}
    for drift, median_class in ((0.01, 4), (0.06, 4), (0.01, 80)):
        posterior = compute_posterior(read_prior(drift, median_class=median_class), probed, 0.1)
        known[drift, median_class] = choose_winner(RACERS, posterior)
    assert known[0.01, 4] in ("linear_probe", "stage_probe")
    assert known[0.06, 4] not in ("linear_probe", "stage_probe")
    assert known[0.01, 80] == known[0.06, 4]


def test_the_prior_is_the_mean_and_the_spread_of_the_rows() -> None:
    rows = [row for row in read_rows() if row["similarity"] == "different"]
    full = [float(row["whole_full"]) for row in rows]
    probe = [float(row["whole_linear_probe"]) for row in rows]
    leads = [angle(a) - angle(b) for a, b in zip(full, probe, strict=True)]
    assert fit_prior(rows, RACERS).lead[-1] == pytest.approx(np.mean(leads))
    assert fit_prior(rows, RACERS).lead_cov[-1, -1] > np.var(leads, ddof=1)


def test_the_prior_knows_the_leads_and_not_the_level() -> None:
    before = start_posterior(make_prior(lead=0.2, spread=0.1))
    assert math.sqrt(before.cov[0, 0]) > math.pi / 4
    assert before.gain(FULL, over=FIRST).value > 0
    apart = before.cov[R - 1, R - 1] + before.cov[0, 0] - 2 * before.cov[0, R - 1]
    assert apart == pytest.approx(0.01)


def test_the_answers_of_a_probe_set_the_level_of_all() -> None:
    easy, hard = (compute_posterior(make_prior(), {FIRST: answers(right)}, 0.1) for right in (95, 40))
    for name in RACERS:
        assert easy.expected(name).value > hard.expected(name).value
    assert easy.expected(FIRST).value == pytest.approx(0.95, abs=0.01)
    assert easy.expected(FULL).value > 0.95


def test_more_images_of_a_short_run_outweigh_the_prior() -> None:
    first, full = np.tile([1.0, 1, 1, 1, 0], 40), np.tile([1.0, 0, 1, 0, 0], 40)
    before = compute_posterior(make_prior(), {FIRST: first}, 0.1).expected(FULL)
    found = [
        compute_posterior(
            make_prior(), {FIRST: first, FULL: np.where(np.arange(200) < asked, full, np.nan)}, 0.1
        ).expected(FULL)
        for asked in (10, 50, 200)
    ]
    assert before.value > found[0].value > found[1].value > found[2].value > 0.4


def test_the_growth_of_a_whole_run_is_added() -> None:
    seen = {FIRST: answers(80), FULL: answers(78)}
    slow, fast = (
        compute_posterior(make_prior(growth=growth), seen, 0.1).expected(FULL).value for growth in (0.0, 0.3)
    )
    assert fast > slow + 0.05


def test_a_short_run_at_chance_does_not_grow() -> None:
    seen = {FIRST: answers(60), FULL: answers(28)}
    assert is_at_chance(seen[FULL], 0.25)
    assert not is_at_chance(seen[FIRST], 0.25)
    guessing, learning = (compute_posterior(make_prior(growth=0.5), seen, chance) for chance in (0.25, 0.01))
    assert guessing.expected(FULL).value < learning.expected(FULL).value - 0.1


def test_no_racer_gains_by_the_luck_of_easy_images() -> None:
    first = answers(50)
    on_easy = np.where(np.arange(100) < 50, 1.0, np.nan)
    [level, same], spread = measure_answers({FIRST: first, FULL: on_easy}, RACERS)
    assert (level, same) == (pytest.approx(0.5), pytest.approx(0.5))
    assert math.sqrt(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1]) < 0.03


def test_the_covariance_is_that_of_drawing_the_images_again() -> None:
    rng = np.random.default_rng(0)

    def draw() -> tuple[list[float], np.ndarray]:  # type: ignore[type-arg]
        first = (rng.random(200) < 0.7).astype(float)
        full = np.where(rng.random(200) < 0.3, rng.random(200) < 0.9, first)
        full[80:] = np.nan
        shares, spread = measure_answers({FIRST: first, FULL: full}, RACERS)
        return list(shares), spread

    draws = [draw() for _ in range(2000)]
    seen = np.cov(np.array([shares for shares, _ in draws]).T)
    assert np.mean([spread for _, spread in draws], axis=0) == pytest.approx(seen, rel=0.15)


def test_few_images_never_seem_certain() -> None:
    seen = {FIRST: answers(10, 10), FULL: answers(10, 10)}
    found = compute_posterior(make_prior(lead=0.0), seen, 0.1)
    assert found.gain(FULL, over=FIRST).error > 0.01
    assert found.expected(FIRST).value < 1


def test_a_round_lowers_the_variance_and_keeps_the_mean() -> None:
    before = compute_posterior(make_prior(), {FIRST: answers(80)}, 0.1)
    after = before.after_round(FULL, {FIRST: answers(80)}, 100)
    assert after.mean == pytest.approx(before.mean)
    assert after.gain(FULL, over=FIRST).error < before.gain(FULL, over=FIRST).error
    assert before.expected_change(FULL, FIRST, after) > before.expected_change(
        FULL, FIRST, before.after_round(FULL, {FIRST: answers(80)}, 10)
    )


def test_answers_far_from_the_prior_are_believed() -> None:
    """A strategy that is always right where the first one guesses, though it was never far ahead before."""
    seen = {FIRST: answers(20), RACERS[1]: answers(100)}
    found = compute_posterior(make_prior(lead=0.1, spread=0.05), seen, 0.25)
    assert found.expected(RACERS[1]).value > 0.95
    assert found.expected(FIRST).value < 0.25


def test_at_full_accuracy_nothing_is_gained() -> None:
    found = compute_posterior(make_prior(lead=0.3), {FIRST: answers(20, 20)}, 0.25)
    assert found.gain(FULL, over=FIRST).value < 0
    assert 0.95 < found.expected(FIRST).value < 1


def test_an_expected_share_is_that_of_draws_of_its_angle() -> None:
    found = compute_posterior(make_prior(), {FIRST: answers(70)}, 0.25)
    angles = np.random.default_rng(0).normal(found.mean[R - 1], math.sqrt(found.cov[R - 1, R - 1]), 400_000)
    shares = np.sin(angles) ** 2
    assert found.expected(FULL).value == pytest.approx(shares.mean(), abs=1e-3)
    assert found.expected(FULL).error == pytest.approx(shares.std(), abs=1e-3)
