"""What a search keeps, writes and refuses, one thing at a time."""

from __future__ import annotations

import io
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console
from search_kit import SPEC, make_bench, write_spec

import zoo
from finetune.config import FinetuneSettings, SearchSettings
from finetune.config.search import Range
from finetune.experiment.setup import get_section, read_recipe
from finetune.search import search
from finetune.search.best import write_best
from finetune.search.identity import agreed_epochs
from finetune.search.loop import conclude
from finetune.search.record import Trial
from finetune.search.show import show_table, show_trial
from finetune.search.taking import Search
from finetune.search.trial import Bench, run_trial, trial_plan, trial_setup
from zoo.errors import GraftError

SILENT = Console(file=io.StringIO())
PRETRAINED = """\
extends: resnet_tiny
name: digits
augment: []
data: {folder: FOLDER}
finetune: {precision: float32, batch_size: 8, strategy: STRATEGY, checks: none}
search: {space: {finetune.learning_rate: {log: [1e-3, 1e-2]}}, epochs: 1}
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_bench(write_spec(tmp_path_factory.mktemp("kept")))


def pretrained(folder: Path, strategy: str) -> Bench:
    return make_bench(write_spec(folder, PRETRAINED.replace("STRATEGY", strategy)))


def trial_of(values: dict[str, object], number: int = 0) -> Trial:
    return Trial(number, "", "whole", values, 0.5, 1.0, 1, 1.0, "")


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
    values: dict[str, object], bench: Bench, tmp_path: Path
) -> None:
    path = write_best(bench.recipe, trial_of(values), 3, "accuracy", tmp_path)
    assert get_section(read_recipe(path), FinetuneSettings) == get_section(
        zoo.override(bench.recipe, values), FinetuneSettings
    )


def test_a_trial_starts_from_the_head_that_the_plan_asks_for(tmp_path: Path) -> None:
    bench = pretrained(tmp_path, "full")
    scores = {}
    for head in ("fresh", "probe"):
        values = {"finetune.head": head, "finetune.learning_rate": 1e-9}
        run_trial(bench, values, tmp_path / head, lambda *told, head=head: scores.update({head: told[1]}))
    assert scores["probe"] > 2 * scores["fresh"]


def test_a_trial_trains_to_the_depth_that_was_measured(tmp_path: Path) -> None:
    bench = pretrained(tmp_path, "partial")
    assert trial_plan(bench, trial_setup(bench, {})).trains == bench.plan.trains
    deeper = trial_plan(bench, trial_setup(bench, {"finetune.partial": {"stages": 3}}))
    assert len(deeper.trains) > len(bench.plan.trains)


def test_values_that_do_not_fit_into_memory_are_refused(tmp_path: Path) -> None:
    text = SPEC.replace("finetune.learning_rate: {log: [1e-3, 1]}", "layers.fc1.linear.out: {choice: SIZES}")
    spec = write_spec(tmp_path, text.replace("SIZES", "[120, 100000000000]"))
    report = search(spec, set={"search.trials": 8, "search.epochs": 1}, run=tmp_path / "run", console=SILENT)
    outcomes = {trial.values["layers.fc1.linear.out"]: trial.outcome for trial in report.trials}
    assert outcomes == {120: "whole", 100000000000: "refused"}


@pytest.mark.parametrize(
    ("key", "choice", "why"),
    [
        ("finetune.precision", "[float32, bfloat16]", "all trials have the plan's"),
        ("finetune.test_time", "[flip, none]", "a trial is judged on the images as they are"),
        ("finetune.ensemble.average", "[2, 3]", "a trial trains one network"),
    ],
)
def test_what_would_change_nothing_cannot_be_searched(
    key: str, choice: str, why: str, tmp_path: Path
) -> None:
    text = SPEC.replace("finetune.learning_rate: {log: [1e-3, 1]}", f"{key}: {{choice: {choice}}}")
    with pytest.raises(zoo.SpecError, match=f"{key}: cannot be searched: {why}"):
        search(write_spec(tmp_path, text), run=tmp_path / "run", console=SILENT)


def test_images_read_otherwise_are_another_search(tmp_path: Path) -> None:
    spec, few = write_spec(tmp_path), {"search.trials": 1, "search.epochs": 1}
    search(spec, set=few, run=tmp_path / "run", console=SILENT)
    search(spec, set=few | {"data.cache_mb": 100}, run=tmp_path / "run", console=SILENT)
    with pytest.raises(GraftError, match="then normalise: auto, now normalise: mean_image"):
        search(spec, set=few | {"data.normalise": "mean_image"}, run=tmp_path / "run", console=SILENT)


def test_who_comes_first_says_how_long_trials_are() -> None:
    study = optuna.create_study()
    assert [agreed_epochs(study, measured) for measured in (4, 9, 2)] == [4, 4, 4]


def test_a_plan_that_is_none_is_told(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text("{}")
    with pytest.raises(GraftError, match=r"plan\.json"):
        search(write_spec(tmp_path), set={"finetune.plan": str(plan)}, run=tmp_path / "run", console=SILENT)


def test_while_all_trials_are_under_way_elsewhere_it_says_so(bench: Bench, tmp_path: Path) -> None:
    study, said = optuna.create_study(direction="maximize"), io.StringIO()
    under_way = study.ask()
    assert study.get_trials()[0].state == TrialState.RUNNING
    console = Console(file=said, width=200)
    settings = get_section(bench.recipe, SearchSettings)
    report = conclude(Search(bench, settings, tmp_path, study, None, console))  # type: ignore[arg-type]
    assert report.best is None and not list(tmp_path.iterdir())
    assert "no trial has come to its end yet; 1 trials are still under way" in said.getvalue()
    study.tell(under_way, state=TrialState.FAIL)
    with pytest.raises(GraftError, match="none of 1 trials came to its end"):
        conclude(Search(bench, settings, tmp_path, study, None, console))  # type: ignore[arg-type]


def test_values_are_shown_as_they_are() -> None:
    said, trial = io.StringIO(), trial_of({"augment": ["grey"]})
    console = Console(file=said, width=200)
    show_trial(trial, None, "1/1", "accuracy", console)
    show_table([trial], {"augment": Range(choice=[["grey"], ["brightness"]])}, "accuracy", console)
    assert said.getvalue().count("[grey]") == 2
