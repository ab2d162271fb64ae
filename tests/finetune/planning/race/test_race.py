"""Races: rounds, which strategies are asked again, and budgets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_kit import random_state, write_images, write_spec
from race_kit import make_prior

from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.planning.defaults import resolve_defaults
from finetune.planning.evidence import count_images
from finetune.planning.race import race
from finetune.planning.race.decision import MIN_GAIN
from finetune.planning.race.fold import train_fold
from finetune.planning.race.race import ENOUGH_IMAGES, SHORT_RUN, Contender, Log, Race, run_race
from finetune.probes.folds import Fold, deal_folds
from finetune.records.estimate import Correct, accuracy_of
from finetune.records.evidence import Forecast
from finetune.records.plan import Plan
from finetune.strategies import find_strategy
from zoo.errors import GraftError

CLASSES, IMAGES = 4, 12


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    folder = tmp_path_factory.mktemp("race")
    spec = write_spec(folder, random_state(folder))
    images = write_images(folder / "images", CLASSES, IMAGES, noise=60.0)
    recipe = read_recipe(spec, str(images), {"finetune.cache": str(folder / "cache"), "data.test": 0})
    return prepare(recipe, load_data(recipe))


def entry(setup: Setup, name: str, *, epochs: int = 20, minutes: float = 1.0) -> Contender:
    plan = replace(resolve_defaults(setup, find_strategy(name), None, (), count_images(setup)), epochs=epochs)
    return Contender(plan, Forecast(epochs, 100.0, minutes))


class Trainings:
    """Replaces trainings: each answers a known share of the held-out images correctly."""

    def __init__(self, shares: dict[str, float]) -> None:
        self.shares, self.asked = shares, list[tuple[str, int]]()

    def __call__(self, setup: Setup, plan: Plan, fold: Fold) -> Correct:
        self.asked.append((plan.strategy, plan.epochs))
        correct = np.full(len(setup.train), np.nan)
        left = fold[1]
        correct[left] = np.arange(len(left)) < self.shares[plan.strategy] * len(left)
        return correct


def test_a_fold_answers_its_held_out_images_and_keeps_the_network(setup: Setup) -> None:
    [fold, *_] = deal_folds(setup.train.split.targets)[0]
    before = {name: value.clone() for name, value in setup.net.state_dict().items()}
    correct = train_fold(setup, entry(setup, "full", epochs=2).plan, fold)
    assert sorted(np.flatnonzero(~np.isnan(correct))) == sorted(fold[1])
    assert set(correct[fold[1]]) <= {0.0, 1.0}
    assert all(value.equal(before[name]) for name, value in setup.net.state_dict().items())


def test_a_contender_that_diverges_has_no_correct_answer(setup: Setup) -> None:
    [fold, *_] = deal_folds(setup.train.split.targets)[0]
    wild = replace(entry(setup, "full", epochs=20).plan, learning_rate=1e12)
    assert np.nansum(train_fold(setup, wild, fold)) == 0


def test_a_fold_too_small_for_a_probe_starts_from_a_fresh_head(setup: Setup) -> None:
    targets = setup.train.split.targets
    learned = np.array([np.flatnonzero(targets == label)[0] for label in range(CLASSES)])
    left = np.setdiff1d(np.arange(len(targets)), learned)
    plan = replace(entry(setup, "full", epochs=1).plan, head="probe")
    assert np.isfinite(train_fold(setup, plan, (learned, left))[left]).all()


def compare(
    setup: Setup,
    entries: list[Contender],
    *,
    probe: float,
    probes: tuple[str, ...] = ("linear_probe",),
    budget_minutes: float | None = None,
    min_gain: float = MIN_GAIN,
    log: Log = lambda _: None,
) -> Race:
    """Return a race against a linear probe of this accuracy, with a wide prior of the others."""
    probed = {"linear_probe": (np.arange(len(setup.train)) % 10 < 10 * probe).astype(float)}
    like = make_prior(lead=0.1, growth=0.1, spread=0.2)
    return run_race(
        setup, like, probed, entries, probes=probes, budget_minutes=budget_minutes, min_gain=min_gain, log=log
    )


def test_a_contender_that_cannot_win_is_not_trained_again(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = Trainings({"partial": 0.3, "full": 0.8})
    monkeypatch.setattr(race, "train_fold", trainings)
    found = compare(setup, [entry(setup, name) for name in trainings.shares], probe=0.8, min_gain=1e-3)
    names = [name for name, _ in trainings.asked]
    assert 1 == names.count("partial") < names.count("full") == found.rounds
    assert found.names == ("linear_probe", "partial", "full")
    assert {epochs for _, epochs in trainings.asked} == {round(SHORT_RUN * 20)}


def test_no_round_is_run_that_could_not_change_the_choice(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = Trainings({"full": 0.5})
    monkeypatch.setattr(race, "train_fold", trainings)
    found = compare(setup, [entry(setup, "full")], probe=0.99)
    assert (found.rounds, found.accuracy("full")) == (0, None)
    assert compare(setup, [entry(setup, "full")], probe=0.99, min_gain=-1.0).rounds > 1


def test_who_would_win_is_tried_first(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    for right, winner in ((0.9, "full"), (0.1, "linear_probe")):
        monkeypatch.setattr(race, "train_fold", Trainings({"full": right}))
        found = compare(setup, [entry(setup, "full")], probe=0.6, min_gain=1.0)
        assert (found.rounds, found.winner) == (1, winner)


def test_who_comes_forward_untried_is_tried_after_the_last_round(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = Trainings({"partial": 0.6, "full": 0.7})
    monkeypatch.setattr(race, "train_fold", trainings)
    monkeypatch.setattr(race, "round_gain", lambda name, *_: float(name == "partial"))
    monkeypatch.setattr(race, "ENOUGH_IMAGES", 5)
    probed = {"linear_probe": np.full(len(setup.train), 0.0) + (np.arange(len(setup.train)) % 2)}
    like = replace(make_prior(spread=0.2), lead=np.array([0, 0, 0, 0.3]))
    entries = [entry(setup, name) for name in trainings.shares]
    found = run_race(setup, like, probed, entries, probes=("linear_probe",), min_gain=0.5, log=lambda _: None)
    assert {"partial", "full"} <= {name for name, _ in trainings.asked}
    assert found.winner in found.answers


def test_a_short_run_as_long_as_the_whole_one_does_not_grow(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(race, "train_fold", Trainings({"full": 0.6}))
    long, short = (
        compare(setup, [entry(setup, "full", epochs=epochs)], probe=0.5, min_gain=-1.0) for epochs in (20, 1)
    )
    actual, expected = accuracy_of(short.answers["full"]).value, short.posterior.expected("full").value
    assert expected == pytest.approx(actual, abs=0.03)
    assert long.posterior.expected("full").value > expected + 0.02
    assert (short.short_runs["full"].epochs, short.short_runs["full"].left) == (1, 0.0)
    assert (long.short_runs["full"].epochs, long.short_runs["full"].left) == (20, 1.0)


def test_a_run_that_the_budget_cuts_short_has_less_to_grow(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(race, "train_fold", Trainings({"full": 0.6}))
    one = entry(setup, "full", epochs=200, minutes=20.0)
    bag = replace(one, forecast=replace(one.forecast, trainings=5))
    for contender, epochs in ((one, 6), (bag, 30)):
        trial = compare(setup, [contender], probe=0.5, budget_minutes=10.0, min_gain=-1.0).short_runs["full"]
        assert (trial.plan.epochs, trial.epochs) == (epochs, 70)
        assert trial.left == pytest.approx((1 - epochs / 70) / 0.8)


def test_the_cheapest_wins_where_all_guess(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "train_fold", Trainings({"full": 0.3}))
    found = compare(setup, [entry(setup, "full")], probe=0.2)
    assert found.at_chance
    assert found.winner == "linear_probe"


def test_no_more_rounds_than_give_enough_images(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = Trainings({"full": 0.5})
    monkeypatch.setattr(race, "train_fold", trainings)
    monkeypatch.setattr(race, "ENOUGH_IMAGES", 5)
    compare(setup, [entry(setup, "full")], probe=0.5, min_gain=-1.0)
    assert len(trainings.asked) == 1
    assert ENOUGH_IMAGES > 5


def test_strategies_beyond_the_budget_do_not_race(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = Trainings({"partial": 0.9, "full": 0.9})
    monkeypatch.setattr(race, "train_fold", trainings)
    entries = [entry(setup, "partial", minutes=0.1), entry(setup, "full", minutes=600.0)]
    found = compare(setup, entries, probe=0.5, budget_minutes=1.0, min_gain=-1.0)
    assert found.left_out == ("full",)
    assert {name for name, _ in trainings.asked} == {"partial"}
    assert found.winner == "partial"
    shorter = compare(setup, entries[:1], probe=0.5, budget_minutes=0.1, min_gain=-1.0)
    assert shorter.rounds
    assert trainings.asked[-1][1] < round(SHORT_RUN * 20)


def test_a_budget_without_any_epoch_is_refused(setup: Setup) -> None:
    with pytest.raises(GraftError, match=r"budget_minutes: 0.01; expected more: not one epoch"):
        compare(setup, [entry(setup, "full", minutes=600.0)], probe=0.5, probes=(), budget_minutes=0.01)


def test_each_contender_is_announced(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "train_fold", Trainings({"full": 0.5}))
    lines: list[str] = []
    compare(setup, [entry(setup, "full")], probe=0.5, log=lines.append)
    assert lines[0].startswith("  race, round 1: full has held-out accuracy 50.0%")


def test_the_race_uses_the_sample(setup: Setup, tmp_path: Path) -> None:
    from finetune.planning.evidence import measure_evidence

    measured = measure_evidence(setup)
    few = replace(measured, rows=np.arange(10))
    assert len(few.sample(setup).train) == 10
    assert measured.sample(setup) is setup
