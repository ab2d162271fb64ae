"""Hyperparameter search, from a spec to its best spec, by one process or several."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import optuna
from filelock import FileLock
from rich.console import Console

import zoo
from files.paths import expand_home
from finetune.config import FinetuneSettings, SearchSettings, get_section
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import prepare
from finetune.planning.load import load_plan
from finetune.probes.arithmetic import choose_arithmetic
from finetune.records.disk import require_writable
from finetune.records.files import write_json
from finetune.records.plan import Plan
from finetune.records.run_folder import RUNS
from finetune.report.show import show_setup
from finetune.runtime.console import Terminal
from finetune.runtime.norms import explain_norms
from finetune.search.analysis import VALUES, measure_importance, plot_search
from finetune.search.best import BEST, write_best
from finetune.search.record import Trial, best_trials
from finetune.search.show import show_importance, show_table
from finetune.search.study import (
    SILENCE_S,
    agree_on_epochs,
    check_recipe,
    describe_search,
    make_pruner,
    open_study,
)
from finetune.search.trial import Shared
from finetune.search.trials import Search
from finetune.strategies import find_strategy
from zoo.errors import GraftError

EPOCHS_SHARE, MIN_EPOCHS = 0.25, 2
"""The length of a trial with `search.epochs: auto`: this share of a full run, but at least so many epochs."""


@dataclass(frozen=True)
class SearchReport:
    """The result of a search. `importance` is empty when there are too few trials to measure it.

    `best` is None, and there is no best spec, while all trials are still running in other processes.
    """

    folder: Path
    trials: tuple[Trial, ...]
    best: Trial | None
    importance: Mapping[str, float]

    @property
    def best_spec(self) -> Path:
        """The best trial as a spec."""
        return self.folder / BEST


@explain_norms()
def search(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    run: str | Path | None = None,
    *,
    root: Path = RUNS,
    console: Console | None = None,
) -> SearchReport:
    """Run the trials of the spec's `search` section on its images, or on `data`, and write the best spec.

    `run` is the folder, by default `runs/<spec>/search`. A search that exists there is continued. Several
    processes may share a search; each ends when all trials have been started. The test split is not used.
    Raises: GraftError for every mistake in the spec, the data or the arguments.
    """
    console = console or Terminal()
    recipe = read_recipe(spec, data, set)
    settings = get_section(recipe, SearchSettings)
    if (folds := get_section(recipe, FinetuneSettings).folds) is not None:
        raise GraftError(
            f"finetune.folds: {folds} trains several networks, and a trial of a search trains one\n"
            "  expected: finetune.folds=none for the search, and folds for the best spec afterwards"
        )
    folder = expand_home(run) if run is not None else root / recipe.name / "search"
    require_writable(folder)
    lock = FileLock(folder / "study.lock")  # while a study is created and signed
    with _quiet_optuna():
        with lock:
            study = open_study(settings, recipe.name, folder)
        shared = prepare_trials(recipe, console)
        with lock:
            if settings.epochs == "auto":
                shared = replace(shared, epochs=agree_on_epochs(study, shared.epochs))
            check_recipe(study, describe_search(recipe, shared.setup.splits, shared.epochs))
        study.pruner = make_pruner(settings, shared.epochs)
        keys = ", ".join(settings.space)
        console.print(f"[bold]search[/bold]: {settings.trials} trials of {shared.epochs} epochs over {keys}")
        running = Search(shared, settings, folder, study, console)
        running.run()
        return report_search(running)


def prepare_trials(recipe: zoo.Spec, console: Console) -> Shared:
    """Read the images, build the network and choose the plan, once for all trials.

    Raises: GraftError when the plan trains nothing by gradient, and the space contains no other strategy.
    """
    settings = get_section(recipe, SearchSettings)
    setup = prepare(recipe, load_data(recipe))
    show_setup(setup, console)
    setup = choose_arithmetic(setup)
    plan = load_plan(setup, console)
    if find_strategy(plan.strategy).probe and "finetune.strategy" not in settings.space:
        raise GraftError(
            f"the plan for these images is {plan.strategy}, which has no epochs and no hyperparameters to "
            "search\n  expected: finetune.strategy=partial or full, or finetune.strategy in search.space"
        )
    return Shared(recipe, setup, plan, trial_epochs(settings, plan))


def trial_epochs(settings: SearchSettings, plan: Plan) -> int:
    """Return the length of a trial in epochs."""
    if settings.epochs != "auto":
        return settings.epochs
    return max(MIN_EPOCHS, round(plan.epochs * EPOCHS_SHARE))


def report_search(search: Search) -> SearchReport:
    """Show and write the result of all trials so far.

    Raises: GraftError when no trial was completed, and none is running.
    """
    trials, space, folder, console = search.trials(), search.settings.space, search.folder, search.console
    completed, running = best_trials(trials, 1), sum(trial.outcome == "running" for trial in trials)
    if running:
        console.print(
            f"{running} trials are still running in other processes. If one of these was killed, the same "
            f"command runs its trial again after {SILENCE_S} seconds."
        )
    if not completed and running:
        return SearchReport(folder, tuple(trials), None, {})
    if not completed:
        reasons = dict.fromkeys(trial.reason for trial in trials if trial.reason)
        raise GraftError(
            f"none of {len(trials)} trials was completed: {'; '.join(reasons) or 'all were interrupted'}"
        )
    best, importance = completed[0], measure_importance(trials, space, search.settings.seed)
    show_table(trials, space, search.score, console)
    show_importance(importance, trials, console)
    plot_search(trials, space, search.score, folder)
    write_json(folder / "trials.json", {"importance": importance, "trials": [asdict(t) for t in trials]})
    path = write_best(search.shared.recipe, best, search.shared.epochs, search.score, folder)
    console.print(
        f"[bold]best: trial {best.number}, val {search.score} {best.score:.4f}[/bold]; {folder / VALUES}"
    )
    console.print(f"train it in full: graft finetune {path}")
    return SearchReport(folder, tuple(trials), best, importance)


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Turn off Optuna's log lines, and its warnings that heartbeats and some samplers are experimental."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
