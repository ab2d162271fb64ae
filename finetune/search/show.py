"""Printing a search: a line per trial, the table of all trials, the importance of the keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from finetune.search.analysis import RELIABLE_TRIALS
from finetune.search.record import INFORMATIVE, Trial
from finetune.search.space import Space, label
from pixels.console import SafeConsole

MAX_ROWS = 25
FILE_WIDTH = 1000


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return for each key its last part, or as many of its last parts as make it unique."""
    names = {}
    for key in keys:
        parts = key.split(".")
        tails = [".".join(parts[i:]) for i in range(len(parts) - 1, -1, -1)]
        names[key] = next(
            (t for t in tails if not any(o != key and f".{o}".endswith(f".{t}") for o in keys)), key
        )
    return names


def format_value(value: object) -> str:
    """Return a value as text, without quotes."""
    return f"{value:.4g}" if isinstance(value, float) else label(value).replace('"', "")


def show_trial(trial: Trial, best: Trial | None, progress: str, score: str, console: Console) -> None:
    """Print one line about a trial that ended."""
    names = short_names(list(trial.values))
    values = escape(", ".join(f"{names[key]} {format_value(value)}" for key, value in trial.values.items()))
    result = "" if trial.score is None else f"val {score} {trial.score:.4f}"
    how = "" if trial.outcome == "completed" else f"[yellow]{trial.outcome}[/yellow]  "
    mark = "  [green]best[/green]" if best is not None and trial.number == best.number else ""
    console.print(f"  {progress}  trial {trial.number} {trial.phase:<6}  {values}  {how}{result}{mark}")
    if trial.reason:
        console.print(f"      {trial.reason}", markup=False)


def show_table(trials: Sequence[Trial], space: Space, score: str, console: Console) -> None:
    """Print the trials, the best first: the completed ones, then those that ended early."""
    names = short_names(list(space))
    table = Table("trial", *names.values(), score, "loss", "epochs", "seconds", "", box=box.SIMPLE)
    ranked = sorted(trials, key=lambda trial: (trial.outcome == "completed", trial.rank), reverse=True)
    for trial in ranked[:MAX_ROWS]:
        table.add_row(
            str(trial.number),
            *(Text(format_value(trial.values[key])) if key in trial.values else "" for key in space),
            "" if trial.score is None else f"{trial.score:.4f}",
            "" if trial.loss is None else f"{trial.loss:.4f}",
            str(trial.epochs),
            "" if trial.seconds is None else f"{trial.seconds:.0f}",
            trial.phase if trial.outcome == "completed" else f"{trial.phase} {trial.outcome}".strip(),
        )
    if len(ranked) > MAX_ROWS:
        table.caption = f"… and {len(ranked) - MAX_ROWS} more, all in trials.json"
    wide = console if console.is_terminal else SafeConsole(file=console.file, width=FILE_WIDTH)
    wide.print(table)


def show_importance(importance: Mapping[str, float], trials: Sequence[Trial], console: Console) -> None:
    """Print the importance of each key, and whether it is a rough estimate."""
    if not importance:
        console.print("importance of the keys: unknown, with too few trials or equal scores")
        return
    shares = ", ".join(f"{key} {share:.2f}" for key, share in importance.items())
    ended = sum(trial.outcome in INFORMATIVE for trial in trials)
    rough = f"  (rough: {ended} trials)" if ended < RELIABLE_TRIALS else ""
    console.print(f"importance of the keys: {shares}{rough}")
