"""How a race goes: rounds, who falls out, and what a budget leaves out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_kit import random_state, write_images, write_spec

from finetune.evidence.estimate import Hits
from finetune.evidence.folds import Fold, deal_folds
from finetune.forecast import Forecast
from finetune.plan import Plan
from finetune.race import race
from finetune.race.fold import fold_hits
from finetune.race.race import ASKED, SHARE, Entry, run_race
from finetune.settings import DataSettings
from finetune.settle import settle
from finetune.setup import Setup, prepare, read_recipe, section
from finetune.strategies import find_strategy
from finetune.tasks import find_task

CLASSES, IMAGES = 4, 12


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    folder = tmp_path_factory.mktemp("race")
    spec = write_spec(folder, random_state(folder))
    images = write_images(folder / "images", CLASSES, IMAGES, noise=60.0)
    recipe = read_recipe(spec, str(images), {"finetune.cache": str(folder / "cache"), "data.test": 0})
    return prepare(recipe, find_task(recipe.task).load(section(recipe, DataSettings), 0))


def entry(setup: Setup, name: str, *, epochs: int = 20, minutes: float = 1.0) -> Entry:
    plan = replace(settle(setup, find_strategy(name), None, (), {}), epochs=epochs)
    return Entry(plan, Forecast(epochs, 100.0, minutes))


class Trainings:
    """Stands for trainings whose outcome is known: the share of left-out images each gets right."""

    def __init__(self, shares: dict[str, float]) -> None:
        self.shares, self.asked = shares, list[tuple[str, int]]()

    def __call__(self, setup: Setup, plan: Plan, fold: Fold) -> Hits:
        self.asked.append((plan.strategy, plan.epochs))
        hits = np.full(len(setup.train), np.nan)
        left = fold[1]
        hits[left] = np.arange(len(left)) < self.shares[plan.strategy] * len(left)
        return hits


def test_a_fold_asks_for_what_was_left_out_and_leaves_the_network_alone(setup: Setup) -> None:
    [fold, *_] = deal_folds(setup.train.split.targets)[0]
    before = {name: value.clone() for name, value in setup.net.state_dict().items()}
    hits = fold_hits(setup, entry(setup, "full", epochs=2).plan, fold)
    assert sorted(np.flatnonzero(~np.isnan(hits))) == sorted(fold[1])
    assert set(hits[fold[1]]) <= {0.0, 1.0}
    assert all(value.equal(before[name]) for name, value in setup.net.state_dict().items())


def test_a_contender_whose_loss_runs_away_has_none_right(setup: Setup) -> None:
    [fold, *_] = deal_folds(setup.train.split.targets)[0]
    wild = replace(entry(setup, "full", epochs=20).plan, learning_rate=1e12)
    assert np.nansum(fold_hits(setup, wild, fold)) == 0


def test_losers_fall_out_and_the_rest_goes_on(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = Trainings({"partial": 0.0, "full": 0.9, "scratch": 0.9})
    monkeypatch.setattr(race, "fold_hits", trainings)
    found = run_race(setup, {}, [entry(setup, name) for name in trainings.shares], say=lambda _: None)
    names = [name for name, _ in trainings.asked]
    assert names.count("partial") == 1
    assert names.count("full") == found.rounds > 1
    assert found.winner.name == "full"
    assert found.finished == ("full", "scratch")
    assert {epochs for _, epochs in trainings.asked} == {round(SHARE * 20)}


def test_a_race_ends_when_one_is_clear_of_all(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "fold_hits", Trainings({"full": 0.0}))
    found = run_race(
        setup, {"linear_probe": np.ones(len(setup.train))}, [entry(setup, "full")], say=lambda _: None
    )
    assert (found.rounds, found.winner.name) == (1, "linear_probe")


def test_no_more_rounds_than_give_enough_images(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = Trainings({"full": 0.5})
    monkeypatch.setattr(race, "fold_hits", trainings)
    monkeypatch.setattr(race, "ASKED", 10)
    run_race(setup, {}, [entry(setup, "full")], say=lambda _: None)
    assert len(trainings.asked) == 1
    assert ASKED > 10


def test_what_does_not_fit_the_budget_stays_away(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = Trainings({"partial": 0.9, "full": 0.9})
    monkeypatch.setattr(race, "fold_hits", trainings)
    entries = [entry(setup, "partial", minutes=0.1), entry(setup, "full", minutes=600.0)]
    probes = {"linear_probe": np.zeros(len(setup.train))}
    found = run_race(setup, probes, entries, budget_minutes=1.0, say=lambda _: None)
    assert found.left_out == ("full",)
    assert {name for name, _ in trainings.asked} == {"partial"}
    assert found.winner.name == "partial"
    shorter = run_race(setup, probes, entries[:1], budget_minutes=0.1, say=lambda _: None)
    assert shorter.rounds
    assert trainings.asked[-1][1] < round(SHARE * 20)


def test_each_contender_is_announced(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "fold_hits", Trainings({"full": 0.5}))
    lines: list[str] = []
    run_race(setup, {}, [entry(setup, "full")], say=lines.append)
    assert lines[0].startswith("  race, round 1 of at most ")
    assert "full is right on 0.5" in lines[0]


def test_a_sample_is_what_is_raced_on(setup: Setup, tmp_path: Path) -> None:
    from finetune.evidence.measure import measure_evidence

    evidence = measure_evidence(setup)
    few = replace(evidence, rows=np.arange(10))
    assert len(few.sampled(setup).train) == 10
    assert evidence.sampled(setup) is setup
