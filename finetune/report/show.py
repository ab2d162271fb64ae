"""Printing a run: its data and network, its plan, its result."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from finetune.data import SPLITS
from finetune.experiment.setup import Setup
from finetune.planning.table import draw_table
from finetune.records.plan import Plan
from finetune.records.report import Outcome, Report
from finetune.records.run_folder import RunFolder
from finetune.strategies import find_strategy
from finetune.tasks import find_task

MAX_BROKEN = 10
MAX_CLASSES = 20


def show_setup(setup: Setup, console: Console) -> None:
    """Print the number of classes and images, warnings, and the broken images."""
    splits = setup.splits
    sizes = ", ".join(f"{len(getattr(splits, name))} {name}" for name in SPLITS)
    console.print(f"[bold]{setup.spec.name}[/bold]  {len(splits.classes)} classes, {sizes} images")
    if setup.task.probes:
        counts = splits.train.counts(len(splits.classes))
        console.print(f"  {min(counts)} to {max(counts)} training images per class")
    for warning in setup.warnings:
        console.print(f"[yellow]warning[/yellow]: {escape(warning)}")
    if splits.broken:
        console.print(f"[yellow]warning[/yellow]: {len(splits.broken)} broken images are left out:")
        for broken in splits.broken[:MAX_BROKEN]:
            console.print(f"  {broken.path}: {broken.reason}", markup=False)
        if len(splits.broken) > MAX_BROKEN:
            console.print(f"  … and {len(splits.broken) - MAX_BROKEN} more, which report.json lists")


def show_plan(plan: Plan, console: Console) -> None:
    """Print the table with the chosen cell, the forecast of each strategy, the reasons and the summary."""
    console.print(draw_table(plan.cell, plan.strategy))
    if plan.evidence.forecasts:
        console.print(_forecast_table(plan))
    for reason in plan.reasons:
        console.print(f"  • {reason}", markup=False)
    console.print(f"\n{plan.summary}\n", markup=False)
    trains = ", ".join(part or "the whole network" for part in plan.trains)
    probe = find_strategy(plan.strategy).probe
    length = "" if probe else f", at most {plan.epochs} epochs, batch size {plan.batch_size}"
    console.print(f"[bold]plan: {plan.strategy}[/bold]: trains {trains}{length}")


def _forecast_table(plan: Plan) -> Table:
    """Return minutes and accuracy of every strategy that was considered; the chosen one is marked."""
    names = ("", "strategy", "minutes", "held-out accuracy", "expected")
    table = Table(*names, box=box.SIMPLE, pad_edge=False)
    race = plan.evidence.race
    for name, forecast in plan.evidence.forecasts.items():
        score = None if race is None else race.scores.get(name)
        accuracy = "—" if score is None or score.accuracy is None else score.accuracy.percent
        expected = "—" if score is None else score.expected.percent
        mark, style = ("▶", "bold green") if name == plan.strategy else ("", "")
        table.add_row(mark, name, f"{forecast.minutes:g}", accuracy, expected, style=style)
    return table


def show_report(report: Report, folder: RunFolder, console: Console) -> None:
    """Print the metrics, overall and per class, and the exported files."""
    split, score = report.measured_on, find_task(report.task).score
    others = ", ".join(
        f"{_format_name(name)} {value:.3f}" for name, value in report.metrics.items() if name != score
    )
    console.print(
        f"[bold]{split} {_format_name(score)} {report.metrics[score]:.4f}[/bold] "
        f"on {getattr(report.images, split)} images  ({others})"
    )
    if outcome := format_outcome(report.outcome):
        console.print(f"  • {outcome}")
    if len(report.classes) <= MAX_CLASSES:
        names = list(next(iter(report.classes.values()), {}))
        table = Table("class", *names)
        for label, numbers in report.classes.items():
            table.add_row(Text(label), *(f"{numbers[name]:.3f}" for name in names))
        console.print(table)
    for export in report.exports.values():
        console.print(f"[bold]{escape(str(folder.path / export.file))}[/bold]: {escape(export.summary)}")


def format_outcome(outcome: Outcome) -> str:
    """Return such as `predicted accuracy 0.912 ± 0.020, actual 0.931; …`; empty if nothing was predicted."""
    parts = []
    if outcome.accuracy is not None:
        parts.append(f"accuracy {outcome.accuracy.predicted}, actual {outcome.accuracy.actual:.3f}")
    if outcome.minutes is not None:
        parts.append(
            f"training time {outcome.minutes.predicted:g} minutes, actual {outcome.minutes.actual:g}"
        )
    return f"predicted {'; '.join(parts)}" if parts else ""


def _format_name(name: str) -> str:
    return name.replace("_", " ")
