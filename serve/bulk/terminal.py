"""What the commands of serving print: for a person, for a program, and the progress of long work."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from pixels.console import SafeConsole
from pixels.text import escape_json

PIPE_WIDTH = 1000

T = TypeVar("T")


def print_json(value: object) -> None:
    """Print for a program: letters of any language as they are, what could act on a terminal escaped."""
    print(escape_json(json.dumps(value, indent=2, ensure_ascii=False)))


def print_rich(what: object) -> None:
    """Print for a person; names are data, so no markup, emoji or highlighting is read into them."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH  # names stay whole for a program that reads them
    SafeConsole(markup=False, highlight=False, emoji=False, width=width).print(what)


def show_progress(steps: Iterable[T], count: int, title: str) -> Iterator[T]:
    """Yield the steps, with a bar on standard error where that is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = SafeConsole(stderr=True, markup=False, highlight=False, emoji=False)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield from bar.track(steps, total=count, description=title)
