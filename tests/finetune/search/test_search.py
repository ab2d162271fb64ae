"""A search from spec to best spec: killed and gone on with, shared, kept in a database, repeated."""

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
from search_kit import EPOCHS, SPEC, prepare_spec, read_journal, start_search, wait_for_trials, write_spec

from finetune.engine.loop import build_loop
from finetune.experiment.setup import read_recipe
from finetune.planning.choose import choose_plan
from finetune.records.run_folder import RunFolder
from finetune.search import SearchReport, search
from finetune.search.study import cut_half_line
from finetune.search.workers import WORKER
from zoo.errors import GraftError

TRIALS = 12
SILENT = Console(file=io.StringIO())


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spec(tmp_path_factory.mktemp("search"))


@pytest.fixture(scope="module")
def gone_on(
    spec: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[int, float], SearchReport, str]:
    """A search killed in the middle and started again: its scores at the kill, its end, and what it said."""
    folder, said = tmp_path_factory.mktemp("killed") / "search", io.StringIO()
    process = start_search(spec, folder)
    wait_for_trials(process, folder, TrialState.COMPLETE, 3)
    process.kill()
    process.join()
    before = {trial.number: trial.values[0] for trial in read_journal(folder) if trial.values}
    report = search(spec, run=folder, console=Console(file=said, width=200))
    return before, report, said.getvalue()


def test_a_search_that_was_killed_keeps_its_trials_and_ends_with_all(
    gone_on: tuple[dict[int, float], SearchReport, str],
) -> None:
    before, report, _ = gone_on
    assert 3 <= len(before) < TRIALS
    after = {trial.number: trial.score for trial in report.trials}
    assert {number: after[number] for number in before} == before
    assert sum(trial.counts for trial in report.trials) == TRIALS
    assert not [trial for trial in report.trials if trial.outcome == "running"]


def test_the_trial_that_was_killed_is_made_up_for_with_its_values(
    gone_on: tuple[dict[int, float], SearchReport, str],
) -> None:
    _, report, _ = gone_on
    lost = [trial for trial in report.trials if trial.outcome == "lost"]
    others = [trial.values for trial in report.trials if trial.outcome != "lost"]
    assert len(lost) <= 1  # the kill may have come between two trials
    assert all(others.count(trial.values) == 1 for trial in lost if trial.values)


def test_fine_ranges_are_drawn_after_the_coarse_trials(
    gone_on: tuple[dict[int, float], SearchReport, str],
) -> None:
    _, report, _ = gone_on
    phases = [trial.phase for trial in report.trials if trial.counts]
    assert sorted(phases) == ["coarse"] * (TRIALS // 2) + ["fine"] * (TRIALS // 2)
    whole = [trial for trial in report.trials if trial.phase == "coarse" and trial.outcome == "whole"]
    best = sorted(whole, key=lambda trial: trial.rank)[-3:]
    rates = [float(str(trial.values["finetune.learning_rate"])) for trial in best]
    wider = 10 ** (3 / 6)  # a sixth of three decades
    for trial in report.trials:
        if trial.phase == "fine":
            rate = float(str(trial.values["finetune.learning_rate"]))
            assert min(rates) / wider * 0.999 <= rate <= max(rates) * wider * 1.001  # four digits are kept
            assert trial.values["finetune.optimizer"] in [each.values["finetune.optimizer"] for each in best]


def test_the_end_is_told_and_written(gone_on: tuple[dict[int, float], SearchReport, str]) -> None:
    _, report, said = gone_on
    assert f"best: trial {report.best.number}, val accuracy {report.best.score:.4f}" in said
    assert report.best.score == max(trial.score for trial in report.trials if trial.outcome == "whole")  # type: ignore[type-var]
    assert set(report.importance) == {"finetune.learning_rate", "finetune.optimizer"}
    assert sum(report.importance.values()) == pytest.approx(1)
    assert "importance of the keys: " in said
    assert "rough: 12 trials" in said
    written = json.loads((report.folder / "trials.json").read_text())
    assert [trial["score"] for trial in written["trials"]] == [trial.score for trial in report.trials]
    with Image.open(report.folder / "plot.png") as plot:
        colours = {colour for _, colour in plot.convert("RGB").getcolors(1 << 24) or []}
    assert {(0x44, 0x77, 0xAA), (0xEE, 0x77, 0x33)} <= colours  # coarse and fine trials


def test_the_best_spec_is_valid_and_repeats_its_trial(
    gone_on: tuple[dict[int, float], SearchReport, str], tmp_path: Path
) -> None:
    _, report, _ = gone_on
    found = read_recipe(report.best_spec)
    assert found.name == "digits_best"
    assert found.document.items["finetune"] is not None
    setup = prepare_spec(report.best_spec, **{"finetune.epochs": EPOCHS})
    plan = choose_plan(setup)
    assert plan.learning_rate == report.best.values["finetune.learning_rate"]
    standing = build_loop(setup, plan, RunFolder(tmp_path), SILENT).run()
    assert (standing.best_score, standing.best_loss) == (report.best.score, report.best.loss)


def test_a_finished_search_is_only_told_again(
    gone_on: tuple[dict[int, float], SearchReport, str], spec: Path
) -> None:
    _, report, _ = gone_on
    again = search(spec, run=report.folder, console=SILENT)
    assert (again.trials, again.importance) == (report.trials, report.importance)


def test_another_spec_does_not_go_on_with_it(
    gone_on: tuple[dict[int, float], SearchReport, str], spec: Path
) -> None:
    _, report, _ = gone_on
    with pytest.raises(GraftError, match=r"started otherwise: then batch_size: 8, now batch_size: 16"):
        search(spec, set={"finetune.batch_size": 16}, run=report.folder, console=SILENT)


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    count = 40  # the other process must not be through while this one prepares
    text = SPEC.replace("trials: 12", f"trials: {count}").replace("epochs: 3", "epochs: 1")
    spec, folder = write_spec(tmp_path, text), tmp_path / "search"
    other = start_search(spec, folder)
    wait_for_trials(other, folder, TrialState.COMPLETE, 1)
    search(spec, run=folder, console=SILENT)
    other.join(60)
    assert other.exitcode == 0
    trials = read_journal(folder)
    workers = {trial.user_attrs[WORKER] for trial in trials}
    assert len(workers) == 2
    assert len(trials) == count
    assert all(trial.state.is_finished() for trial in trials)
    assert len({tuple(trial.params.items()) for trial in trials}) == count
    assert not list((folder / "workers").iterdir())


def test_a_database_keeps_a_search(spec: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    values = {"search.storage": url, "search.study": "mine", "search.trials": 2, "search.epochs": 1}
    first = search(spec, set=values, run=tmp_path / "a", console=SILENT)
    more = search(spec, set={**values, "search.trials": 3}, run=tmp_path / "b", console=SILENT)
    assert more.trials[:2] == first.trials
    assert len(more.trials) == 3
    assert [study.study_name for study in optuna.get_all_study_summaries(url)] == ["mine"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "postgresql://ada:secret@nowhere.invalid/graft",
            r"search\.storage: postgresql://ada:\*\*\*@nowhere\.invalid/graft needs the Python package "
            r"psycopg, which is not installed; expected: pip install 'psycopg\[binary\]'",
        ),
        (
            "sqlite:////nowhere/to/be/found.db",
            r"search\.storage: the database cannot be used: unable to open",
        ),
        ("nosql://host/name", r"search\.storage: the database cannot be used: .*nosql"),
    ],
)
def test_a_database_that_cannot_be_reached_is_told_of(
    spec: Path, tmp_path: Path, url: str, message: str
) -> None:
    with pytest.raises(GraftError, match=message):
        search(spec, set={"search.storage": url}, run=tmp_path, console=SILENT)


def test_half_an_entry_of_the_journal_is_dropped(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    for text, kept in [("", ""), ("one\n", "one\n"), ("one\ntw", "one\n"), ("on", "")]:
        journal.write_text(text)
        cut_half_line(journal)
        assert journal.read_text() == kept


def test_a_search_whose_trials_all_fail_says_why(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, SPEC.replace("1e-3, 1]", "1e+8, 1e+9]"))
    with pytest.raises(GraftError, match=r"none of 2 trials came to its end: the loss is .*; expected"):
        search(spec, set={"search.trials": 2}, run=tmp_path / "search", console=SILENT)
