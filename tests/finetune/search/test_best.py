"""The best spec, the importance of keys, and how trials are shown."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

import zoo
from finetune.config import FinetuneSettings, get_section
from finetune.config.search import Range
from finetune.experiment.recipe import read_recipe
from finetune.search.analysis import measure_importance
from finetune.search.best import write_best
from finetune.search.record import Trial
from finetune.search.show import short_names, show_table, show_trial


@pytest.fixture(scope="module")
def recipe() -> zoo.Spec:
    return read_recipe("lenet5")


def trial_of(values: dict[str, object], number: int = 0) -> Trial:
    return Trial(number, "", "completed", values, 0.5, 1.0, 1, 1.0, "")


@pytest.mark.parametrize(
    "values",
    [
        {"finetune.warm_up.epochs": 2},
        {"finetune.clip.value": 0.5},
        {"finetune.optimizer.adamw.eps": 1e-5, "finetune.learning_rate": 0.01},
        {"finetune.schedule.step.factor": 0.5},
    ],
)
def test_the_best_spec_of_a_part_of_a_setting_can_be_read(
    values: dict[str, object], recipe: zoo.Spec, tmp_path: Path
) -> None:
    path = write_best(recipe, trial_of(values), 3, "accuracy", tmp_path)
    assert get_section(read_recipe(path), FinetuneSettings) == get_section(
        zoo.override(recipe, values), FinetuneSettings
    )


def test_values_are_shown_as_they_are() -> None:
    output, trial = io.StringIO(), trial_of({"augment": ["grey"]})
    console = Console(file=output, width=200)
    show_trial(trial, None, "1/1", "accuracy", console)
    show_table([trial], {"augment": Range(choice=[["grey"], ["brightness"]])}, "accuracy", console)
    assert output.getvalue().count("[grey]") == 2


def make_trial(number: int, rate: float, score: float | None, outcome: str = "completed") -> Trial:
    values = {"rate": rate, "name": "ab"[number % 2]}
    return Trial(number, "", outcome, values, score, 1.0, 1, 1.0, "")  # type: ignore[arg-type]


def test_the_key_that_decides_is_the_most_important() -> None:
    space = {"rate": Range(log=[1e-4, 1.0]), "name": Range(choice=["a", "b"])}
    rates = [10 ** (-4 + 4 * i / 15) for i in range(16)]
    trials = [
        make_trial(i, rate, 0.9 if rate < 0.1 else None, "completed" if rate < 0.1 else "diverged")
        for i, rate in enumerate(rates)
    ]
    importance = measure_importance(trials, space, seed=0)
    assert list(importance) == ["rate", "name"]
    assert importance["rate"] > 0.9
    assert measure_importance(trials[:5], space, seed=0) == {}
    assert measure_importance(trials[:10], space, seed=0) == {}  # all scored alike


def test_keys_are_shown_by_their_shortest_unique_name() -> None:
    keys = ["finetune.optimizer.sgd.momentum", "finetune.schedule.momentum", "finetune.l1"]
    assert list(short_names(keys).values()) == ["sgd.momentum", "schedule.momentum", "l1"]
