"""The terminal: what is printed for everyone, what only `--why` prints, and the progress of long work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pixels.console import SafeConsole

PLAIN_EVERY_S = 10.0
"""Outside a terminal, progress is one line in this time at most."""
QUIET = Console(quiet=True, force_terminal=False)


class Terminal(SafeConsole):
    """Standard output without line breaks; `:smile:` in the name of a class stays text.

    `why` prints the details too: evidence, tables, statistics.
    """

    def __init__(self, *, why: bool = False, record: bool = False, width: int | None = None) -> None:
        super().__init__(
            highlight=False,
            emoji=False,
            soft_wrap=not record,  # a picture has no terminal that would break lines
            record=record,
            width=width,
            color_system="truecolor" if record else "auto",
            force_terminal=False if record else None,  # a record has no bars
        )
        self.why = why


def details(console: Console) -> Console:
    """Return where details are printed: the console if it shows them, else one that prints nothing."""
    return console if isinstance(console, Terminal) and console.why else QUIET


class _Bar:
    """One line that shows what is being done and how far it is."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.console = console
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task("", total=None)
        self.printed_s = time.monotonic()
        self.bar.start()

    def show(self, text: str, done: int, total: int | None) -> None:
        self.bar.update(self.task, description=text, completed=done, total=total)
        now = time.monotonic()
        if not self.console.is_terminal and now - self.printed_s >= PLAIN_EVERY_S:
            self.printed_s = now
            self.console.print(f"  {text}{f' {done}/{total}' if total else ''} …", markup=False)


_BAR: ContextVar[_Bar | None] = ContextVar("bar", default=None)


@contextmanager
def show_progress(console: Console) -> Iterator[None]:
    """Show on the console what `report_progress` reports inside this context."""
    bar = _Bar(console)
    token = _BAR.set(bar)
    try:
        yield
    finally:
        _BAR.reset(token)
        bar.bar.stop()


def report_progress(text: str, done: int = 0, total: int | None = None) -> None:
    """Show what is being done, and how much of it is done. Without `show_progress`, nothing happens."""
    bar = _BAR.get()
    if bar is not None:
        bar.show(text, done, total)
