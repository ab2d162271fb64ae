"""Printing a run: its data and network, its plan, its result."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from finetune.data import SPLITS
from finetune.experiment.setup import Setup
from finetune.health.finding import Finding
from finetune.health.run import describe_findings
from finetune.monitor.diagnosis import GOOD_FIT
from finetune.planning.load import GIVEN
from finetune.planning.summary import format_plan
from finetune.planning.table import draw_table
from finetune.records.estimate import wilson_interval
from finetune.records.network import NetworkChoice
from finetune.records.plan import Plan
from finetune.records.report import Outcome, Report, StartingWeights
from finetune.records.run_folder import RunFolder
from finetune.runtime.console import details
from finetune.runtime.console_text import format_command, show_path
from finetune.strategies import find_strategy
from finetune.tasks import find_task

MAX_CLASSES = 20
MAX_NAMED = 10
"""Classes that are named with their images; of more, the smallest and the largest count are given."""
MAX_WARNINGS = 4
RESTRICTED = ("non-commercial", "noncommercial", "research", "-nc")
"""Words of licences that do not allow every use."""


def show_setup(setup: Setup, console: Console) -> None:
    """Print what was found: classes and images, how they are split, what was left out."""
    splits = setup.splits
    parts = [getattr(splits, name) for name in SPLITS]
    total, classes = sum(map(len, parts)), len(splits.classes)
    where = f" in {setup.data.folder}" if setup.data.folder else ""
    line = f"Found {total:,} images of {classes} classes{where}"
    if setup.task.probes:
        line += _describe_counts(
            splits.classes, [sum(c) for c in zip(*(p.counts(classes) for p in parts), strict=True)]
        )
    console.print(line, markup=False)
    console.print(f"  {describe_uses(setup, *map(len, parts))}", markup=False)
    if splits.broken:
        first, count = splits.broken[0], len(splits.broken)
        images = (
            "1 image that cannot be read" if count == 1 else f"{count} images that cannot be read, such as"
        )
        console.print(f"  left out: {images} {first.path}: {first.reason}", markup=False)
        for broken in splits.broken[1:]:
            details(console).print(f"    {broken.path}: {broken.reason}", markup=False)
    for number, warning in enumerate(setup.warnings):
        chosen = console if number < MAX_WARNINGS else details(console)
        chosen.print(f"[yellow]note[/yellow]: {escape(warning)}")
    if len(setup.warnings) > MAX_WARNINGS and details(console).quiet:
        console.print(f"  … and {len(setup.warnings) - MAX_WARNINGS} more notes, which --why shows")


def describe_uses(setup: Setup, train: int, val: int, test: int) -> str:
    """Return what the images of the three splits are for, with their numbers."""
    if setup.settings.folds is not None:
        first = f"{train + val:,} to learn from, each held out in one of {setup.settings.folds} folds"
        uses = {first: train + val}
    else:
        choose = "to choose the best state of training"
        uses = {f"{train:,} to learn from": train, f"{val:,} {choose}": val}
    return ", ".join(text for text, count in (uses | {f"{test:,} to test the result": test}).items() if count)


def _describe_counts(classes: tuple[str, ...], counts: list[int]) -> str:
    if len(classes) <= MAX_NAMED and not any(name.isdigit() for name in classes):
        return ": " + ", ".join(f"{name} {count}" for name, count in zip(classes, counts, strict=True))
    return f", {min(counts):,} to {max(counts):,} per class"


def show_network(choice: NetworkChoice | None, console: Console) -> None:
    """Print which network was chosen and why, if it was; for `--why` also how all of them did."""
    if choice is None:
        return
    console.print(f"[bold]Network[/bold]: {escape(choice.reason)}")
    console = details(console)
    table = Table(
        "network", "held-out accuracy", "seconds", "licence of its weights", box=box.SIMPLE, pad_edge=False
    )
    for score in choice.scores:
        accuracy = score.left_out if score.accuracy is None else score.accuracy.percent
        table.add_row(score.spec, accuracy, f"{score.seconds:g}", score.licence)
    console.print(table)


def show_findings(findings: Sequence[Finding], setup: Setup, console: Console) -> None:
    """Print what looks wrong with the images, in numbers, and the command that shows it."""
    if found := describe_findings(findings):
        source = ("--data", setup.data.folder) if setup.data.folder else (setup.spec.path,)
        console.print(f"[bold]Data health[/bold]: {escape(found)}")
        console.print(f"  to see them: {format_command('health', *source)}", markup=False)


def show_plan(plan: Plan, console: Console) -> None:
    """Print the plan in one sentence, and for `--why` the evidence for it."""
    console.print(f"[bold]Plan[/bold]: {escape(format_plan(plan))}")
    for reason in plan.reasons:
        if reason.startswith(GIVEN):
            console.print(f"  {reason}", markup=False)
    console = details(console)
    console.print(draw_table(plan.cell, plan.strategy))
    if plan.evidence.forecasts:
        console.print(_forecast_table(plan))
    for reason in plan.reasons:
        console.print(f"  • {reason}", markup=False)
    console.print(f"\n{plan.summary}\n", markup=False)
    trains = ", ".join(part or "the whole network" for part in plan.trains)
    length = "" if find_strategy(plan.strategy).probe else f", batch size {plan.batch_size}"
    console.print(f"trains {trains}{length}", markup=False)


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
        table.add_row(mark, name, f"{round(forecast.minutes, 2):g}", accuracy, expected, style=style)
    return table


def show_report(report: Report, folder: RunFolder, console: Console, commands: Sequence[str] = ()) -> None:
    """Print the result in one sentence, the files, and the next commands; for `--why` all metrics."""
    console.print(f"[bold green]{escape(format_result(report))}[/bold green]")
    if report.remarks and not report.remarks[0].endswith(GOOD_FIT):
        console.print(f"  {report.remarks[0]}", markup=False)
    for sentence in report.advice:
        console.print(f"  {sentence}", markup=False)
    _show_details(report, details(console))
    for export in report.exports.values():
        console.print(f"  {export.summary}", markup=False)
    if isinstance(report.weights, StartingWeights) and _is_restricted(report.weights.licence):
        console.print(f"  licence of the pretrained weights: {report.weights.licence}", markup=False)
    names = [export.file for export in report.exports.values() if export.file]
    files = [f"{name} (the model)" for name in names] + [f"{folder.report.name} (all numbers)"]
    files += [f"{folder.page.name} (the same with pictures)"] if folder.page.exists() else []
    console.print(f"files: {show_path(folder.path)}: {', '.join(files)}", markup=False)
    for number, command in enumerate(commands):
        console.print(f"{'      ' if number else 'next: '}{command}", markup=False)


def format_result(report: Report) -> str:
    """Return the task's score on the test images in one sentence."""
    images, kind, score = report.measured_images, report.measured_kind, find_task(report.task).score
    value, checked = report.metrics[score], report.cross_validation
    if score == "accuracy":
        low, high = wilson_interval(value, images)
        text = (
            f"{value:.1%} of the {images:,} {kind} were recognised correctly "
            f"(95% interval {100 * low:.1f} to {high:.1%})"
        )
    else:
        text = f"{_format_name(score)} {value:.1%} on the {images:,} {kind}"
    if report.measured_on == "val":
        text += "; these also chose the best state of training, so new images may do worse"
    elif checked is not None and report.measured_on == "folds":
        text += ", each by a network that had not learned from it"
    elif checked is not None:
        others = f"{checked.folds}-fold cross-validation on {checked.images:,} others"
        text += f"; {others}: {checked.accuracy.percent}"
    return text


def _show_details(report: Report, console: Console) -> None:
    """Print all metrics, overall and per class, the predictions beside the results, and the remarks."""
    console.print(
        "  " + ", ".join(f"{_format_name(key)} {value:.3f}" for key, value in report.metrics.items())
    )
    if outcome := format_outcome(report.outcome):
        console.print(f"  • {outcome}")
    for remark in report.remarks:
        console.print(f"  • {remark}", markup=False)
    if len(report.classes) <= MAX_CLASSES:
        names = list(next(iter(report.classes.values()), {}))
        table = Table("class", *names)
        for label, numbers in report.classes.items():
            table.add_row(Text(label), *(f"{numbers[name]:.3f}" for name in names))
        console.print(table)


def _is_restricted(licence: str) -> bool:
    return any(word in licence.lower() for word in RESTRICTED)


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
    return name.replace("_", " ").replace("iou", "IoU")
