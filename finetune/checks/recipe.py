"""All checks of a spec, for those who ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from accelerate import PartialState
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from finetune.checks.rate_finder import plot_rates
from finetune.checks.rates import rate_curve
from finetune.checks.registry import CHECKS
from finetune.checks.result import Result
from finetune.checks.run import run_checks
from finetune.checks.subject import Subject, undisturbed
from finetune.experiment.setup import load_data, prepare, read_recipe
from finetune.experiment.start import prepare_start
from finetune.planning.load import settle_plan
from finetune.probes.head import start_head
from finetune.report.show import show_plan, show_setup
from finetune.runtime.console import own_console

COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow"}
FINDER_BUDGET_S = 120.0
RUNS = Path("runs")


def check_recipe(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    *,
    plot: Path | None = None,
    console: Console | None = None,
) -> tuple[Result, ...]:
    """Every check of the spec on its images, shown as a table; and the learning rate test drawn.

    `plot` is where it is drawn, `runs/<spec>/rates.png` unless given.
    Raises: GraftError for everything a user can mend before a check is made.
    """
    console = console or own_console()
    recipe = read_recipe(spec, data, set)
    setup = prepare(recipe, load_data(recipe))
    show_setup(setup, console)
    plan = settle_plan(setup, console)
    show_plan(plan, console)
    setup = prepare_start(setup, plan)
    start_head(setup, plan)
    subject, results = Subject(setup, plan, PartialState().device), []
    for result in run_checks(subject):
        colour = COLOURS[result.status]
        console.print(f"  [{colour}]{result.status}[/{colour}]  {result.name}: {CHECKS[result.name].words}")
        results.append(result)
    show_results(results, console)
    if plan.learning_rate:
        _plot(subject, plot or RUNS / recipe.name / "rates.png", console)
    return tuple(results)


def show_results(results: Sequence[Result], console: Console) -> None:
    """A table with a row a check, and under it the way out of whatever failed, whole."""
    table = Table("check", "result", "found", "expected")
    for result in results:
        colour = COLOURS[result.status]
        table.add_row(
            result.name, f"[{colour}]{result.status}[/{colour}]", Text(result.found), Text(result.expected)
        )
    console.print(table)
    for result in results:
        if result.failed:
            console.print(f"[red]{result.name}[/red]: {escape(result.way_out)}")


def _plot(subject: Subject, path: Path, console: Console) -> None:
    with undisturbed(subject.device):
        curve = rate_curve(subject, budget_s=FINDER_BUDGET_S)
    plot_rates(curve, path, now=subject.plan.learning_rate)
    said = f"proposes {curve.proposed:g}" if curve.proposed is not None else "found none that helps"
    console.print(f"learning rate: {subject.plan.learning_rate:g}; the test of rates {said}, drawn in {path}")
