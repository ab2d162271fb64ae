"""The console that a person reads."""

from __future__ import annotations

from rich.console import Console


def own_console() -> Console:
    """Standard output; lines are as long as they are, and `:smile:` in the name of a class stays text."""
    return Console(highlight=False, emoji=False, soft_wrap=True)
