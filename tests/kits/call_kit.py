"""The command line, called in this process."""

from __future__ import annotations

from collections.abc import Callable

Call = Callable[..., tuple[int, str, str]]
"""Exit code, stdout and stderr of `python -m serve` with these arguments."""
