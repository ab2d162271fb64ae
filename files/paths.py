"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path


def expand_home(path: str | Path) -> Path:
    """Return a path with `~` and `~name` replaced; as it is where there is nobody of that name."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  that of pathlib raises RuntimeError


def is_file(path: Path) -> bool:
    """Return whether there is a file; False for a name that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113  that of pathlib raises OSError


def cache_folder() -> Path:
    """Return the folder of what can be made or fetched again: GRAFT_CACHE, else ~/.cache/graft."""
    own = os.environ.get("GRAFT_CACHE")
    return expand_home(own) if own else Path.home() / ".cache" / "graft"
