"""What a run says to the person in front of it."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from finetune.data.splits import SPLITS
from finetune.experiment.setup import Setup
from finetune.planning.table import draw_table
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.report.outcome import outcome_in_words
from finetune.strategies import find_strategy
from finetune.tasks.base import find_task

BROKEN_SHOWN = 10
CLASSES_SHOWN = 20


def show_setup(setup: Setup, console: Console) -> None:
    """Data and network in a few lines; broken images by name."""
    splits = setup.splits
    sizes = ", ".join(f"{len(getattr(splits, name))} {name}" for name in SPLITS)
    console.print(f"[bold]{setup.spec.name}[/bold]  {len(splits.classes)} classes, {sizes} images")
    if setup.task.probes:
        counts = splits.train.counts(len(splits.classes))
        console.print(f"  {min(counts)} to {max(counts)} training images per class")
    for warning in setup.warnings:
        console.print(f"[yellow]warning[/yellow]: {escape(warning)}")
    if splits.broken:
        console.print(f"[yellow]warning[/yellow]: {len(splits.broken)} broken images left out:")
        for broken in splits.broken[:BROKEN_SHOWN]:
            console.print(f"  {broken.path}: {broken.reason}", markup=False)
        if len(splits.broken) > BROKEN_SHOWN:
            console.print(f"  … and {len(splits.broken) - BROKEN_SHOWN} more, all named in report.json")


def show_plan(plan: Plan, console: Console) -> None:
    """The table with the chosen cell marked, what each strategy promises, the reasons, and a summary."""
    console.print(draw_table(plan.cell, plan.strategy))
    if plan.evidence.forecasts:
        console.print(_compared(plan))
    for reason in plan.reasons:
        console.print(f"  • {reason}", markup=False)
    console.print(f"\n{plan.summary}\n", markup=False)
    what = ", ".join(part or "the whole network" for part in plan.trains)
    probe = find_strategy(plan.strategy).probe
    how = "" if probe else f", {plan.epochs} epochs at most, batches of {plan.batch_size}"
    console.print(f"[bold]plan: {plan.strategy}[/bold]: {what} learns{how}")


def _compared(plan: Plan) -> Table:
    """Minutes and accuracy of every strategy that was looked at, the chosen one marked."""
    names = ("", "strategy", "minutes here", "held-out accuracy", "expected")
    table = Table(*names, box=box.SIMPLE, pad_edge=False)
    race = plan.evidence.race
    for name, forecast in plan.evidence.forecasts.items():
        score = None if race is None else race.scores.get(name)
        tried = "—" if score is None or score.accuracy is None else score.accuracy.percent
        whole = "—" if score is None else score.expected.percent
        mark, style = ("▶", "bold green") if name == plan.strategy else ("", "")
        table.add_row(mark, name, f"{forecast.minutes:g}", tried, whole, style=style)
    return table


def show_report(report: Mapping[str, object], folder: RunFolder, console: Console) -> None:
    """Test metrics, in all and by class, and where the artifact lies."""
    metrics, classes, images = report["metrics"], report["classes"], report["images"]
    assert isinstance(metrics, dict)
    assert isinstance(classes, dict)
    assert isinstance(images, dict)
    split, score = report["measured_on"], find_task(str(report["task"])).score
    others = ", ".join(f"{in_words(name)} {value:.3f}" for name, value in metrics.items() if name != score)
    console.print(
        f"[bold]{split} {in_words(score)} {metrics[score]:.4f}[/bold] on {images[split]} images  ({others})"
    )
    outcome = report.get("outcome")
    if isinstance(outcome, dict) and outcome:
        console.print(f"  • {outcome_in_words(outcome)}")
    if len(classes) <= CLASSES_SHOWN:
        names = list(next(iter(classes.values()), {}))
        table = Table("class", *names)
        for label, numbers in classes.items():
            table.add_row(Text(label), *(f"{numbers[name]:.3f}" for name in names))
        console.print(table)
    exports = report["exports"]
    assert isinstance(exports, dict)
    for written in exports.values():
        path = escape(str(folder.path / written["file"]))
        console.print(f"[bold]{path}[/bold]: {escape(written['summary'])}")


def in_words(name: str) -> str:
    """A metric's name for people."""
    return name.replace("_", " ")
