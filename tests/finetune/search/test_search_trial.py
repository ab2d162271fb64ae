"""One trial: what it shares, what it starts from, and when it is broken off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from search_kit import SPEC, make_bench, write_spec

from finetune.config.search import Range
from finetune.data import Split
from finetune.data.dataset import ImageDataset
from finetune.records.metrics_log import read_lines
from finetune.search.importance import measure_importance
from finetune.search.record import Trial
from finetune.search.show import short_names
from finetune.search.trial import Bench, BrokenOffError, TrialWatch, run_trial, trial_setup
from zoo.errors import GraftError

Told = list[tuple[int, float, float]]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_bench(write_spec(tmp_path_factory.mktemp("trial")))


class Unreadable:
    """An image of the test split: nobody may look at it."""

    name = key = "hidden"

    def read(self) -> NDArray[np.uint8]:
        raise AssertionError("a trial looked at the test split")

    def digest(self) -> str:
        raise AssertionError("a trial looked at the test split")


def run(bench: Bench, folder: Path, **values: object) -> Told:
    told: Told = []
    run_trial(bench, values, folder, lambda epoch, score, loss: told.append((epoch, score, loss)))
    return told


@pytest.mark.usefixtures("seeded")
def test_a_trial_starts_afresh_and_never_looks_at_the_test_split(bench: Bench, tmp_path: Path) -> None:
    test = Split((Unreadable(),), np.zeros(1, np.int64))
    splits = replace(bench.setup.splits, test=test)
    dataset = ImageDataset(test, bench.setup.preprocess)
    hidden = replace(bench, setup=replace(bench.setup, splits=splits, test=dataset))
    before = {name: value.clone() for name, value in hidden.setup.net.state_dict().items()}
    first, second = (run(hidden, tmp_path / name, **{"finetune.learning_rate": 0.1}) for name in ("a", "b"))
    assert first == second
    assert [epoch for epoch, _, _ in first] == [1, 2, 3]
    assert all(torch.equal(value, before[name]) for name, value in hidden.setup.net.state_dict().items())
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["metrics.jsonl"]
    assert run(hidden, tmp_path / "c", **{"finetune.learning_rate": 0.01}) != first


@pytest.mark.usefixtures("seeded")
def test_a_trial_that_explodes_is_broken_off_early(bench: Bench, tmp_path: Path) -> None:
    told: Told = []
    with pytest.raises(BrokenOffError, match="over three times its start, 2"):
        run_trial(bench, {"finetune.learning_rate": 1e6}, tmp_path, lambda *numbers: told.append(numbers))
    assert not told
    assert not read_lines(tmp_path / "metrics.jsonl")


def test_the_loss_may_reach_three_times_its_start() -> None:
    watch = TrialWatch(10, lambda *_: None)
    for loss in (2.3, 2.3, 9.0, 2.3):  # one odd batch is no explosion
        watch.after_step(loss)
    with pytest.raises(BrokenOffError, match=r"the loss is nan"):
        watch.after_step(float("nan"))


def test_trials_share_pixels_and_rebuild_only_what_they_change(bench: Bench) -> None:
    fast = trial_setup(bench, {"finetune.learning_rate": 0.1})
    assert fast.train is bench.setup.train
    assert fast.net is not bench.setup.net
    other = trial_setup(bench, {"choices.norm": "batch_norm"})
    assert {type(module) for module in other.net.modules()} > {type(module) for module in fast.net.modules()}
    assert other.train.pixels is bench.setup.train.pixels
    assert other.spec.input == bench.setup.spec.input
    larger = trial_setup(bench, {"input.resize": "pad"})
    assert larger.train.pixels is not bench.setup.train.pixels
    assert larger.spec.input.resize == "pad"


@pytest.mark.usefixtures("seeded")
def test_values_that_go_with_nothing_else_are_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="l2_sp ties weights to pretrained ones"):
        run(bench, tmp_path, **{"finetune.l2_sp": {"alpha": 0.1}})
    with pytest.raises(GraftError, match="partial needs pretrained weights"):
        run(bench, tmp_path, **{"finetune.strategy": "partial", "finetune.weights": "none"})


def test_a_plan_without_anything_to_search_is_told(tmp_path: Path) -> None:
    spec = write_spec(
        tmp_path, SPEC.replace("precision: float32", "strategy: linear_probe, precision: float32")
    )
    with pytest.raises(GraftError, match="needs pretrained weights"):
        make_bench(spec)


def make_trial(number: int, rate: float, score: float | None, outcome: str = "whole") -> Trial:
    values = {"rate": rate, "name": "ab"[number % 2]}
    return Trial(number, "", outcome, values, score, 1.0, 1, 1.0, "")  # type: ignore[arg-type]


def test_the_key_that_decides_is_the_important_one() -> None:
    space = {"rate": Range(log=[1e-4, 1.0]), "name": Range(choice=["a", "b"])}
    rates = [10 ** (-4 + 4 * i / 15) for i in range(16)]
    trials = [
        make_trial(i, rate, 0.9 if rate < 0.1 else None, "whole" if rate < 0.1 else "broken off")
        for i, rate in enumerate(rates)
    ]
    importance = measure_importance(trials, space, seed=0)
    assert list(importance) == ["rate", "name"]
    assert importance["rate"] > 0.9
    assert measure_importance(trials[:5], space, seed=0) == {}
    assert measure_importance(trials[:10], space, seed=0) == {}  # all scored alike


def test_keys_are_shown_by_as_little_as_tells_them_apart() -> None:
    keys = ["finetune.optimizer.sgd.momentum", "finetune.schedule.momentum", "finetune.l1"]
    assert list(short_names(keys).values()) == ["sgd.momentum", "schedule.momentum", "l1"]
