"""A search from spec to best spec: killed and continued, shared, kept in a database, repeated."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import torch
from optuna.trial import TrialState
from PIL import Image
from rich.console import Console
from search_kit import (
    EPOCHS,
    SILENT,
    SPEC,
    kill_in_a_trial,
    prepare_shared,
    prepare_spec,
    read_trials,
    start_search,
    wait_for_trials,
    write_spec,
)

import zoo
from finetune.config import SearchSettings, get_section
from finetune.engine.build import build_trainer
from finetune.experiment.recipe import read_recipe
from finetune.planning.choose import choose_plan
from finetune.records.run_folder import RunFolder
from finetune.search import SearchReport, search
from finetune.search.search import report_search
from finetune.search.trials import Search
from zoo.errors import GraftError

TRIALS = 8


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spec(tmp_path_factory.mktemp("search"))


@pytest.fixture(scope="module", autouse=True)
def short_heartbeats() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("finetune.search.study.HEARTBEAT_S", 1)
        patch.setattr("finetune.search.study.SILENCE_S", 2)
        yield


@pytest.fixture(scope="module")
def resumed(
    spec: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[int, float], SearchReport, str]:
    """A search that was killed and started again: its scores at the kill, its report, its output."""
    folder, output = tmp_path_factory.mktemp("killed") / "search", io.StringIO()
    process = start_search(spec, folder)
    wait_for_trials(process, folder, TrialState.COMPLETE, 2)
    kill_in_a_trial(process, folder)
    before = {trial.number: trial.values[0] for trial in read_trials(folder) if trial.values}
    report = search(spec, run=folder, console=Console(file=output, width=200))
    return before, report, output.getvalue()


def test_a_killed_search_keeps_its_trials_and_completes_the_rest(
    resumed: tuple[dict[int, float], SearchReport, str],
) -> None:
    before, report, _ = resumed
    assert 2 <= len(before) < TRIALS
    after = {trial.number: trial.score for trial in report.trials}
    assert {number: after[number] for number in before} == before
    assert sum(trial.counts for trial in report.trials) == TRIALS
    assert "running" not in {trial.outcome for trial in report.trials}


def test_an_interrupted_trial_is_run_again_with_its_values(
    resumed: tuple[dict[int, float], SearchReport, str],
) -> None:
    _, report, _ = resumed
    [interrupted] = [trial for trial in report.trials if trial.outcome == "interrupted"]
    others = [trial.values for trial in report.trials if trial.counts]
    assert others.count(interrupted.values) == 1


def test_fine_ranges_are_drawn_after_the_coarse_trials(
    resumed: tuple[dict[int, float], SearchReport, str],
) -> None:
    _, report, _ = resumed
    phases = [trial.phase for trial in report.trials if trial.counts]
    assert sorted(phases) == ["coarse"] * (TRIALS // 2) + ["fine"] * (TRIALS // 2)
    coarse = [trial for trial in report.trials if trial.phase == "coarse" and trial.outcome == "completed"]
    best = sorted(coarse, key=lambda trial: trial.rank)[-3:]
    rates = [float(str(trial.values["finetune.learning_rate"])) for trial in best]
    wider = 10 ** (3 / 4)  # a quarter of three decades
    for trial in report.trials:
        if trial.phase == "fine":
            rate = float(str(trial.values["finetune.learning_rate"]))
            assert min(rates) / wider * 0.999 <= rate <= max(rates) * wider * 1.001  # four digits are kept
            assert trial.values["finetune.optimizer"] in [each.values["finetune.optimizer"] for each in best]


def test_the_result_is_shown_and_written(resumed: tuple[dict[int, float], SearchReport, str]) -> None:
    _, report, output = resumed
    assert report.best is not None
    assert f"best: trial {report.best.number}, val accuracy {report.best.score:.4f}" in output
    assert report.best.score == max(t.score for t in report.trials if t.outcome == "completed")  # type: ignore[type-var]
    assert set(report.importance) == {"finetune.learning_rate", "finetune.optimizer"}
    assert sum(report.importance.values()) == pytest.approx(1)
    assert "rough: 8 trials" in output
    written = json.loads((report.folder / "trials.json").read_text())
    assert [trial["score"] for trial in written["trials"]] == [trial.score for trial in report.trials]
    for name in ("history.png", "values.png"):
        with Image.open(report.folder / name) as plot:
            assert len(plot.convert("RGB").getcolors(1 << 24) or []) > 20


def test_the_best_spec_repeats_its_trial(
    resumed: tuple[dict[int, float], SearchReport, str], tmp_path: Path
) -> None:
    best, found = resumed[1].best, read_recipe(resumed[1].best_spec)
    assert best is not None
    assert found.name == "digits_best"
    setup = prepare_spec(resumed[1].best_spec, **{"finetune.epochs": EPOCHS})
    plan = choose_plan(setup)
    assert plan.learning_rate == best.values["finetune.learning_rate"]
    state = build_trainer(setup, plan, RunFolder(tmp_path), SILENT).run()
    assert (state.best_score, state.best_loss) == (best.score, best.loss)


def test_a_completed_search_is_only_reported_again(
    resumed: tuple[dict[int, float], SearchReport, str], spec: Path
) -> None:
    _, report, _ = resumed
    again = search(spec, run=report.folder, console=SILENT)
    assert (again.trials, again.importance) == (report.trials, report.importance)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("finetune.batch_size", 16, "before: batch_size: 8, now: batch_size: 16"),
        ("data.normalise", "mean_image", "before: normalise: auto, now: normalise: mean_image"),
    ],
)
def test_a_search_with_other_settings_is_refused(
    resumed: tuple[dict[int, float], SearchReport, str], spec: Path, key: str, value: object, message: str
) -> None:
    with pytest.raises(GraftError, match=message):
        search(spec, set={key: value}, run=resumed[1].folder, console=SILENT)
    assert search(spec, set={"data.cache_mb": 100}, run=resumed[1].folder, console=SILENT).best


def test_two_processes_share_the_trials(tmp_path: Path) -> None:
    count = 30  # enough for the other process not to be done before this one begins
    text = SPEC.replace("trials: 8", f"trials: {count}").replace("epochs: 2", "epochs: 1")
    spec, folder, output = write_spec(tmp_path, text), tmp_path / "search", io.StringIO()
    other = start_search(spec, folder)
    wait_for_trials(other, folder, TrialState.COMPLETE, 1)
    search(spec, run=folder, console=Console(file=output, width=200))
    other.join(60)
    assert other.exitcode == 0
    trials = read_trials(folder)
    assert 0 < output.getvalue().count("  trial ") < count
    assert count <= len(trials) <= count + 1  # both may take the last one
    assert all(trial.state.is_finished() for trial in trials)
    assert len({tuple(trial.params.items()) for trial in trials}) == len(trials)


def test_a_study_in_a_database_is_continued_from_another_folder(spec: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    values = {"search.storage": url, "search.study": "mine", "search.trials": 1, "search.epochs": 1}
    first = search(spec, set=values, run=tmp_path / "a", console=SILENT)
    more = search(spec, set={**values, "search.trials": 2}, run=tmp_path / "b", console=SILENT)
    assert more.trials[:1] == first.trials
    assert len(more.trials) == 2
    assert [study.study_name for study in optuna.get_all_study_summaries(url)] == ["mine"]


def test_a_search_whose_trials_all_diverge_says_why(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, SPEC.replace("1e-3, 0.3]", "1e+8, 1e+9]"))
    with pytest.raises(GraftError, match=r"none of 2 trials was completed: the loss is .*; expected"):
        search(spec, set={"search.trials": 2}, run=tmp_path / "search", console=SILENT)


def test_values_that_do_not_fit_into_memory_are_invalid(tmp_path: Path) -> None:
    sizes = "layers.fc1.linear.out: {choice: [120, 100000000000]}"
    spec = write_spec(tmp_path, SPEC.replace("finetune.learning_rate: {log: [1e-3, 0.3]}", sizes))
    few = {"search.trials": 6, "search.epochs": 1, "search.fine": "none"}
    report = search(spec, set=few, run=tmp_path / "run", console=SILENT)
    outcomes = {trial.values["layers.fc1.linear.out"]: trial.outcome for trial in report.trials}
    assert outcomes == {120: "completed", 100000000000: "invalid"}


@pytest.mark.parametrize(
    ("key", "choice", "reason"),
    [
        ("finetune.precision", "[float32, bfloat16]", "all trials use the precision of the plan"),
        ("finetune.test_time", "[flip, none]", "a trial is scored on unchanged images"),
        ("finetune.ensemble.average", "[2, 3]", "a trial trains one network"),
    ],
)
def test_keys_that_change_nothing_cannot_be_searched(
    key: str, choice: str, reason: str, tmp_path: Path
) -> None:
    text = SPEC.replace("finetune.learning_rate: {log: [1e-3, 0.3]}", f"{key}: {{choice: {choice}}}")
    with pytest.raises(zoo.SpecError, match=f"{key}: cannot be searched: {reason}"):
        search(write_spec(tmp_path, text), run=tmp_path / "run", console=SILENT)


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text("{}")
    with pytest.raises(GraftError, match=r"plan\.json"):
        search(write_spec(tmp_path), set={"finetune.plan": str(plan)}, run=tmp_path / "run", console=SILENT)


def test_a_linear_classifier_has_nothing_to_search(tmp_path: Path) -> None:
    spec = write_spec(
        tmp_path, SPEC.replace("precision: float32", "strategy: linear_probe, precision: float32")
    )
    with pytest.raises(GraftError, match="needs pretrained weights"):
        prepare_shared(spec)


def test_trials_that_run_in_other_processes_are_reported(spec: Path, tmp_path: Path) -> None:
    study, output = optuna.create_study(direction="maximize"), io.StringIO()
    running, shared = study.ask(), prepare_shared(spec)
    console, settings = Console(file=output, width=200), get_section(shared.recipe, SearchSettings)
    state = Search(shared, settings, tmp_path, study, console)
    report = report_search(state)
    assert report.best is None and not list(tmp_path.iterdir())
    assert "1 trials are still running in other processes" in output.getvalue()
    study.tell(running, state=TrialState.FAIL)
    with pytest.raises(GraftError, match="none of 1 trials was completed: all were interrupted"):
        report_search(state)


def test_ctrl_c_queues_the_values_again(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    few = {"search.trials": 1, "search.epochs": 1}
    monkeypatch.setattr("finetune.search.trials.run_trial", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search(spec, set=few, run=tmp_path, console=SILENT)
    monkeypatch.undo()
    interrupted, again = search(spec, set=few, run=tmp_path, console=SILENT).trials
    assert not list(tmp_path.glob("process-*"))
    assert (interrupted.outcome, again.outcome) == ("interrupted", "completed")
    assert (interrupted.values, interrupted.phase) == (again.values, again.phase)
