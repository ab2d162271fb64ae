"""The console of the commands."""

from __future__ import annotations

from rich.console import Console


def make_console() -> Console:
    """Return standard output without line breaks; `:smile:` in the name of a class stays text."""
    return Console(highlight=False, emoji=False, soft_wrap=True)
