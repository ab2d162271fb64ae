"""Consoles: that of the commands, and one that prints nothing."""

from __future__ import annotations

from rich.console import Console

QUIET = Console(quiet=True, force_terminal=False)


def make_console() -> Console:
    """Return standard output without line breaks; `:smile:` in the name of a class stays text."""
    return Console(highlight=False, emoji=False, soft_wrap=True)
