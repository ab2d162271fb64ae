"""A search from spec to best spec: trials until there are enough, by this process and any others."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import optuna
from rich.console import Console

import zoo
from finetune.api import RUNS
from finetune.config import SearchSettings
from finetune.experiment.setup import get_section, load_data, prepare, read_recipe
from finetune.planning.load import settle_plan
from finetune.records.plan import Plan
from finetune.records.run_folder import write_json
from finetune.report.show import show_setup
from finetune.runtime.console import own_console
from finetune.search.best import BEST, write_best
from finetune.search.identity import agreed_epochs, check_same, describe_search
from finetune.search.importance import measure_importance
from finetune.search.plot import plot_search
from finetune.search.record import Trial, best_trials
from finetune.search.show import show_importance, show_table
from finetune.search.study import make_pruner, open_study
from finetune.search.taking import Search
from finetune.search.trial import Bench
from finetune.search.workers import working
from finetune.strategies import find_strategy
from zoo.errors import GraftError

SHARE_OF_EPOCHS, FEWEST_EPOCHS = 0.25, 2
"""A trial's part of a whole run, and its fewest epochs, where the spec does not say."""


@dataclass(frozen=True)
class SearchReport:
    """What a search found. `importance` is empty when there are too few trials to tell.

    `best` is None, and there is no spec of it, while all trials are under way in other processes.
    """

    folder: Path
    trials: tuple[Trial, ...]
    best: Trial | None
    importance: Mapping[str, float]

    @property
    def best_spec(self) -> Path:
        """The best trial as a spec."""
        return self.folder / BEST


def search(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    run: str | Path | None = None,
    *,
    root: Path = RUNS,
    console: Console | None = None,
) -> SearchReport:
    """Try what the spec's `search` section says, on its images or those of `data`; write the best spec.

    `run` names the folder, else `runs/<spec>/search`. A search that stands there is gone on with; several
    processes may work on it at a time, and each ends when all trials are taken. The test split is not used.
    Raises: GraftError for everything a user can mend.
    """
    console = console or own_console()
    recipe = read_recipe(spec, data, set)
    settings = get_section(recipe, SearchSettings)
    folder = Path(run).expanduser() if run is not None else root / recipe.name / "search"
    with _quiet_optuna(), working(folder) as worker:
        with worker.claim:
            study = open_study(settings, recipe.name, folder)
        bench = set_up(recipe, console)
        with worker.claim:
            if settings.epochs == "auto":
                bench = replace(bench, epochs=agreed_epochs(study, bench.epochs))
            check_same(study, describe_search(recipe, bench.setup.splits, bench.epochs))
        study.pruner = make_pruner(settings, bench.epochs)
        under_way = Search(bench, settings, folder, study, worker, console)
        keys = ", ".join(settings.space)
        console.print(f"[bold]search[/bold]: {settings.trials} trials of {bench.epochs} epochs over {keys}")
        under_way.run()
        return conclude(under_way)


def set_up(recipe: zoo.Spec, console: Console) -> Bench:
    """Images, network and plan, once for all trials.

    Raises: GraftError when the plan trains nothing by gradient, and no key would change that.
    """
    settings = get_section(recipe, SearchSettings)
    splits = load_data(recipe)
    setup = prepare(recipe, splits)
    show_setup(setup, console)
    plan = settle_plan(setup, console)
    if find_strategy(plan.strategy).probe and "finetune.strategy" not in settings.space:
        raise GraftError(
            f"the plan for these images is {plan.strategy}, which is fitted in one go: there is nothing to "
            "search\n  expected: finetune.strategy=partial or full, or finetune.strategy in search.space"
        )
    return Bench(recipe, setup, plan, trial_epochs(settings, plan))


def trial_epochs(settings: SearchSettings, plan: Plan) -> int:
    """How long a trial is."""
    if settings.epochs != "auto":
        return settings.epochs
    return max(FEWEST_EPOCHS, round(plan.epochs * SHARE_OF_EPOCHS))


def conclude(search: Search) -> SearchReport:
    """Show and write what the trials so far tell.

    Raises: GraftError when none of them came to its end, and none is under way.
    """
    trials, space, folder = search.trials(), search.settings.space, search.folder
    found, elsewhere = best_trials(trials, 1), sum(trial.outcome == "running" for trial in trials)
    if not found and elsewhere:
        search.console.print(f"no trial has come to its end yet; {_told(elsewhere)}")
        return SearchReport(folder, tuple(trials), None, {})
    if not found:
        reasons = dict.fromkeys(trial.reason for trial in trials if trial.reason)
        raise GraftError(f"none of {len(trials)} trials came to its end: {'; '.join(reasons) or 'all lost'}")
    best, importance = found[0], measure_importance(trials, space, search.settings.seed)
    show_table(trials, space, search.score, search.console)
    show_importance(importance, trials, search.console)
    plot_search(trials, space, importance, search.score, folder / "plot.png")
    write_json(folder / "trials.json", {"importance": importance, "trials": [asdict(t) for t in trials]})
    path = write_best(search.bench.recipe, best, search.bench.epochs, search.score, folder)
    if elsewhere:
        search.console.print(_told(elsewhere))
    search.console.print(
        f"[bold]best: trial {best.number}, val {search.score} {best.score:.4f}[/bold]; {folder / 'plot.png'}"
    )
    search.console.print(f"train it in full: make finetune SPEC={path}")
    return SearchReport(folder, tuple(trials), best, importance)


def _told(elsewhere: int) -> str:
    return f"{elsewhere} trials are still under way in other processes, which write the end"


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Optuna tells of each trial in its own words, and that parts of it may change; our lock holds them."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
