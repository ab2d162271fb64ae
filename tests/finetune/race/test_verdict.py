"""Who wins, who stays in and who falls out, from hits on the same images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from finetune.plan import SIMILARITIES
from finetune.race.growth import SPREAD, grown, usual_growth
from finetune.race.verdict import Score, leader, still_running, winner

RNG = np.random.default_rng(0)


def score(name: str, right: int, of: int = 100) -> Score:
    """Right on the first images, so that two scores differ as little as they can."""
    return Score(name, np.repeat([1.0, 0.0], [right, of - right]))


def shuffled(name: str, right: int, of: int = 100) -> Score:
    return Score(name, RNG.permutation(score(name, right, of).hits))


def test_the_cheaper_stays_where_the_difference_is_noise() -> None:
    assert winner([shuffled("cheap", 80), shuffled("dear", 81)]).name == "cheap"


def test_the_dearer_wins_where_it_is_clearly_better() -> None:
    assert winner([shuffled("cheap", 60), shuffled("dear", 80)]).name == "dear"


def test_few_images_that_never_disagree_the_other_way_tell_much() -> None:
    assert winner([score("cheap", 90), score("dear", 91)]).name == "dear"
    assert winner([shuffled("cheap", 50, 100), shuffled("dear", 51, 100)]).name == "cheap"


def test_the_order_decides_between_equals() -> None:
    assert winner([score("first", 70), score("second", 70)]).name == "first"
    assert leader([score("first", 70), score("second", 70)]).name == "first"


def test_who_is_clearly_behind_falls_out() -> None:
    names = [each.name for each in still_running([shuffled("a", 20), shuffled("b", 80), shuffled("c", 78)])]
    assert names == ["b", "c"]


def test_strategies_are_compared_on_images_that_both_were_asked() -> None:
    easy, hard = np.ones(50), np.zeros(50)
    everywhere = Score("everywhere", np.concatenate([easy, hard]))
    on_easy = Score("on easy", np.concatenate([np.r_[np.zeros(20), np.ones(30)], np.full(50, np.nan)]))
    assert on_easy.accuracy.value > everywhere.accuracy.value
    assert leader([on_easy, everywhere]).name == "everywhere"
    assert winner([on_easy, everywhere]).name == "everywhere"
    assert on_easy.over(everywhere).value == pytest.approx(-0.4)


def test_what_a_whole_run_adds_can_decide() -> None:
    probe, tuned = score("probe", 80), score("tuned", 74)
    assert winner([probe, tuned]).name == "probe"
    grows = replace(tuned, growth=1.8)
    assert grows.promise.value > 0.9 > grows.accuracy.value
    assert winner([probe, grows]).name == "tuned"
    assert grows.over(probe).value == pytest.approx(grows.promise.value - 0.8)


def test_a_short_run_at_chance_promises_nothing_more() -> None:
    at_chance = Score("tuned", score("tuned", 28).hits, growth=1.8, chance=0.25)
    assert at_chance.promise == at_chance.accuracy
    assert replace(at_chance, chance=0.1).promise.value > 0.6


def test_a_promise_is_as_uncertain_as_the_short_run_and_the_growth() -> None:
    perfect = replace(score("tuned", 100), growth=1.0)
    assert perfect.promise.value == 1
    for right in (30, 60, 90):
        tried = replace(score("tuned", right), growth=1.0)
        assert tried.accuracy.value < tried.promise.value < 1
        after = tried.promise.value
        from_growth = (grown(tried.accuracy, 100, growth=1.0 + SPREAD, chance=0.0).value, after)
        assert tried.promise.error > 0.8 * (from_growth[0] - from_growth[1])
        many = grown(replace(tried.accuracy, error=1e-9), 100, growth=1.0, chance=0.0)
        assert many.error == pytest.approx(SPREAD * after * (1 - after), rel=1e-3)


def test_growth_is_known_for_what_trains_from_weights() -> None:
    for similarity in SIMILARITIES:
        assert usual_growth("full", similarity) > 0
        assert usual_growth("partial", similarity) > 0
        assert usual_growth("linear_probe", similarity) == 0
