"""What is believed of whole runs, from the benchmark and from right answers on left-out images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from race_kit import hits, known

from finetune.planning.race.belief import at_chance, believe, measure, prior
from finetune.planning.race.experience import RACERS, angle, experience, learn, read_seen
from finetune.records.plan import SIMILARITIES
from finetune.strategies import STRATEGIES

R = len(RACERS)
FIRST, FULL = RACERS[0], RACERS[-1]


def test_every_strategy_that_starts_from_weights_is_known_on_all_data() -> None:
    assert tuple(name for name, strategy in STRATEGIES.items() if strategy.pretrained) == RACERS
    for similarity in SIMILARITIES:
        found = experience(similarity)
        assert found.lead[0] == 0
        assert found.lead_spread[0] == pytest.approx(np.zeros(R))
        for spread in (found.lead_spread[1:, 1:], found.growth_spread):
            assert np.linalg.eigvalsh(spread).min() > -1e-9


def test_experience_is_the_mean_and_the_spread_of_the_rows() -> None:
    rows = [row for row in read_seen() if row["similarity"] == "different"]
    full = [float(row["whole_full"]) for row in rows]
    probe = [float(row["whole_linear_probe"]) for row in rows]
    leads = [angle(a) - angle(b) for a, b in zip(full, probe, strict=True)]
    assert learn(rows).lead[-1] == pytest.approx(np.mean(leads))
    assert learn(rows).lead_spread[-1, -1] > np.var(leads, ddof=1)


def test_before_any_image_the_level_is_open_and_the_leads_are_known() -> None:
    before = prior(known(lead=0.2, spread=0.1))
    assert math.sqrt(before.spread[0, 0]) > math.pi / 4
    assert before.gain(FULL, over=FIRST).value > 0
    apart = before.spread[R - 1, R - 1] + before.spread[0, 0] - 2 * before.spread[0, R - 1]
    assert apart == pytest.approx(0.01)


def test_a_probe_says_where_the_others_stand() -> None:
    easy, hard = (believe(known(), {FIRST: hits(right)}, 0.1) for right in (95, 40))
    for name in RACERS:
        assert easy.expected(name).value > hard.expected(name).value
    assert easy.expected(FIRST).value == pytest.approx(0.95, abs=0.01)
    assert easy.expected(FULL).value > 0.95


def test_a_short_run_outweighs_what_was_known_as_images_come() -> None:
    first, full = np.tile([1.0, 1, 1, 1, 0], 40), np.tile([1.0, 0, 1, 0, 0], 40)
    before = believe(known(), {FIRST: first}, 0.1).expected(FULL)
    found = [
        believe(known(), {FIRST: first, FULL: np.where(np.arange(200) < asked, full, np.nan)}, 0.1).expected(
            FULL
        )
        for asked in (10, 50, 200)
    ]
    assert before.value > found[0].value > found[1].value > found[2].value > 0.4


def test_what_a_whole_run_adds_is_counted() -> None:
    seen = {FIRST: hits(80), FULL: hits(78)}
    slow, fast = (believe(known(growth=growth), seen, 0.1).expected(FULL).value for growth in (0.0, 0.3))
    assert fast > slow + 0.05


def test_a_short_run_at_chance_promises_nothing_more() -> None:
    seen = {FIRST: hits(60), FULL: hits(28)}
    assert at_chance(seen[FULL], 0.25)
    assert not at_chance(seen[FIRST], 0.25)
    guessing, learning = (believe(known(growth=0.5), seen, chance) for chance in (0.25, 0.01))
    assert guessing.expected(FULL).value < learning.expected(FULL).value - 0.1


def test_no_racer_gains_by_the_luck_of_easy_images() -> None:
    first = hits(50)
    on_easy = np.where(np.arange(100) < 50, 1.0, np.nan)
    [level, same], spread = measure({FIRST: first, FULL: on_easy})
    assert (level, same) == (pytest.approx(0.5), pytest.approx(0.5))
    assert math.sqrt(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1]) < 0.03


def test_the_covariance_is_that_of_drawing_the_images_again() -> None:
    rng = np.random.default_rng(0)

    def draw() -> tuple[list[float], np.ndarray]:  # type: ignore[type-arg]
        first = (rng.random(200) < 0.7).astype(float)
        full = np.where(rng.random(200) < 0.3, rng.random(200) < 0.9, first)
        full[80:] = np.nan
        shares, spread = measure({FIRST: first, FULL: full})
        return list(shares), spread

    draws = [draw() for _ in range(2000)]
    seen = np.cov(np.array([shares for shares, _ in draws]).T)
    assert np.mean([spread for _, spread in draws], axis=0) == pytest.approx(seen, rel=0.15)


def test_few_images_never_seem_certain() -> None:
    seen = {FIRST: hits(10, 10), FULL: hits(10, 10)}
    found = believe(known(lead=0.0), seen, 0.1)
    assert found.gain(FULL, over=FIRST).error > 0.01
    assert found.expected(FIRST).value < 1


def test_a_round_narrows_what_it_asks_about_and_moves_nothing() -> None:
    before = believe(known(), {FIRST: hits(80)}, 0.1)
    after = before.after_a_round(FULL, {FIRST: hits(80)}, 100)
    assert after.mean == pytest.approx(before.mean)
    assert after.gain(FULL, over=FIRST).error < before.gain(FULL, over=FIRST).error
    assert before.learnt(FULL, FIRST, after) > before.learnt(
        FULL, FIRST, before.after_a_round(FULL, {FIRST: hits(80)}, 10)
    )


def test_what_the_benchmark_never_saw_is_believed_all_the_same() -> None:
    """A strategy that is always right where the first one guesses, though it was never far ahead before."""
    seen = {FIRST: hits(20), RACERS[1]: hits(100)}
    found = believe(known(lead=0.1, spread=0.05), seen, 0.25)
    assert found.expected(RACERS[1]).value > 0.95
    assert found.expected(FIRST).value < 0.25


def test_where_all_is_right_nothing_is_left_to_gain() -> None:
    found = believe(known(lead=0.3), {FIRST: hits(20, 20)}, 0.25)
    assert found.gain(FULL, over=FIRST).value < 0
    assert 0.95 < found.expected(FIRST).value < 1


def test_an_expected_share_is_that_of_draws_of_its_angle() -> None:
    found = believe(known(), {FIRST: hits(70)}, 0.25)
    angles = np.random.default_rng(0).normal(
        found.mean[R - 1], math.sqrt(found.spread[R - 1, R - 1]), 400_000
    )
    shares = np.sin(angles) ** 2
    assert found.expected(FULL).value == pytest.approx(shares.mean(), abs=1e-3)
    assert found.expected(FULL).error == pytest.approx(shares.std(), abs=1e-3)
