"""What a search says to the person in front of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from finetune.search.importance import TRIALS_TO_TRUST
from finetune.search.record import ENDED, Trial
from finetune.search.space import Space, label

SHOWN = 25
WIDE = 1000


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Each key by its last part, or by as many of its last parts as tell it from the others."""
    names = {}
    for key in keys:
        parts = key.split(".")
        tails = [".".join(parts[i:]) for i in range(len(parts) - 1, -1, -1)]
        names[key] = next(
            (t for t in tails if not any(o != key and f".{o}".endswith(f".{t}") for o in keys)), key
        )
    return names


def show_value(value: object) -> str:
    """A value as people write it."""
    return f"{value:.4g}" if isinstance(value, float) else label(value).replace('"', "")


def show_trial(trial: Trial, best: Trial | None, taken: str, score: str, console: Console) -> None:
    """One line about a trial that has ended."""
    names = short_names(list(trial.values))
    values = escape(", ".join(f"{names[key]} {show_value(value)}" for key, value in trial.values.items()))
    result = "" if trial.score is None else f"val {score} {trial.score:.4f}"
    how = "" if trial.outcome == "whole" else f"[yellow]{trial.outcome}[/yellow]  "
    mark = "  [green]best[/green]" if best is not None and trial.number == best.number else ""
    console.print(f"  {taken}  trial {trial.number} {trial.phase:<6}  {values}  {how}{result}{mark}")
    if trial.reason:
        console.print(f"      {trial.reason}", markup=False)


def show_table(trials: Sequence[Trial], space: Space, score: str, console: Console) -> None:
    """The trials, best first: whole ones, then those that ended early."""
    names = short_names(list(space))
    table = Table("trial", *names.values(), score, "loss", "epochs", "s", "", box=box.SIMPLE)
    ranked = sorted(trials, key=lambda trial: (trial.outcome == "whole", trial.rank), reverse=True)
    for trial in ranked[:SHOWN]:
        table.add_row(
            str(trial.number),
            *(Text(show_value(trial.values[key])) if key in trial.values else "" for key in space),
            "" if trial.score is None else f"{trial.score:.4f}",
            "" if trial.loss is None else f"{trial.loss:.4f}",
            str(trial.epochs),
            "" if trial.seconds is None else f"{trial.seconds:.0f}",
            trial.phase if trial.outcome == "whole" else f"{trial.phase} {trial.outcome}".strip(),
        )
    if len(ranked) > SHOWN:
        table.caption = f"… and {len(ranked) - SHOWN} more, all in trials.json"
    wide = console if console.is_terminal else Console(file=console.file, width=WIDE)  # a file has no width
    wide.print(table)


def show_importance(importance: Mapping[str, float], trials: Sequence[Trial], console: Console) -> None:
    """How much each key matters, and how far to trust that."""
    if not importance:
        console.print("importance of the keys: too few trials to tell, or all scored alike")
        return
    told = ", ".join(f"{key} {share:.2f}" for key, share in importance.items())
    ended = sum(trial.outcome in ENDED for trial in trials)
    rough = f"  (rough: {ended} trials)" if ended < TRIALS_TO_TRUST else ""
    console.print(f"importance of the keys: {told}{rough}")
