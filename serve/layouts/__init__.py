"""Folders for other programs, from a run's checked file: for other servers, and for a browser alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from serve.layouts.servers import write_models
from serve.layouts.web.folder import write_web

LAYOUTS: dict[str, Callable[[Path, Path, str | None], Path]] = {
    "triton": partial(write_models, "triton"),
    "kserve": partial(write_models, "kserve"),
    "web": write_web,
}
"""Each takes the run, the folder and a name, and returns the file to use."""
