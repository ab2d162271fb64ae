"""All checks of a spec, for those who ask."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from accelerate import PartialState
from rich.console import Console
from rich.table import Table

from finetune.checks.rates import rate_curve
from finetune.checks.result import Result
from finetune.checks.run import run_checks
from finetune.checks.subject import Subject, undisturbed
from finetune.choose import choose_plan
from finetune.rate_finder import plot_rates
from finetune.settings import DataSettings, FinetuneSettings
from finetune.setup import prepare, read_recipe, section
from finetune.show import show_plan, show_setup
from finetune.tasks import find_task

COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow"}
FINDER_BUDGET_S = 120.0


def check_recipe(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    *,
    plot: Path | None = None,
    console: Console | None = None,
) -> tuple[Result, ...]:
    """Every check of the spec on its images, shown as a table; `plot` is where the rate test is drawn.

    Raises: GraftError for everything a user can mend before a check is made.
    """
    console = console or Console(highlight=False, soft_wrap=True)
    recipe = read_recipe(spec, data, set)
    settings, tuning = section(recipe, DataSettings), section(recipe, FinetuneSettings)
    setup = prepare(recipe, find_task(recipe.task).load(settings, tuning.seed))
    show_setup(setup, console)
    plan = choose_plan(setup)
    show_plan(plan, console)
    subject, results = Subject(setup, plan, PartialState().device), []
    for result in run_checks(subject):
        console.print(f"  {result.name} [{COLOURS[result.status]}]{result.status}[/]")
        results.append(result)
    console.print(draw_results(results))
    if plot is not None and plan.learning_rate:
        _plot(subject, plot, console)
    return tuple(results)


def draw_results(results: list[Result]) -> Table:
    """A row a check."""
    table = Table("check", "result", "found", "expected", "way out")
    for result in results:
        colour = COLOURS[result.status]
        table.add_row(
            result.name,
            f"[{colour}]{result.status}[/{colour}]",
            result.found,
            result.expected,
            result.way_out,
        )
    return table


def _plot(subject: Subject, path: Path, console: Console) -> None:
    with undisturbed(subject.device):
        curve = rate_curve(subject, budget_s=FINDER_BUDGET_S)
    plot_rates(curve, path, now=subject.plan.learning_rate)
    said = f"proposes {curve.proposed:g}" if curve.proposed is not None else "found none that helps"
    console.print(f"learning rate: {subject.plan.learning_rate:g}; the test of rates {said}, drawn in {path}")
