"""What a person sees while a network trains: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Advance = Callable[[str], None]
PLAIN_EVERY_S = 10.0


@contextmanager
def show_progress(console: Console, total: int, done: int = 0) -> Iterator[Advance]:
    """A bar of `total` steps of which `done` are behind us; yields what to call after each step.

    Outside a terminal it prints a line at most every ten seconds.
    """
    if console.is_terminal:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        ) as bar:
            task = bar.add_task("training", total=total, completed=done)
            yield lambda text: bar.update(task, advance=1, description=text)
    else:
        yield plain_lines(console, total, done)


def plain_lines(console: Console, total: int, done: int) -> Advance:
    """The same without a terminal: step, text and time left, now and then."""
    start, last, steps = time.monotonic(), time.monotonic(), 0

    def advance(text: str) -> None:
        nonlocal last, steps
        steps += 1
        now = time.monotonic()
        if now - last >= PLAIN_EVERY_S:
            last = now
            left_s = (now - start) / steps * (total - done - steps)
            console.print(f"  step {done + steps}/{total}  {text}  about {left_s:.0f} s left")

    return advance
