"""Transfer learning: data, plan, training and run folders. `finetune.run` does all of it in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finetune.api import make_plan, run
    from finetune.finished import FinishedRun, RunReport, load_run

__all__ = ["FinishedRun", "RunReport", "load_run", "make_plan", "run"]

_MODULES = {"make_plan": "finetune.api", "run": "finetune.api"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'finetune' has no attribute '{name}'")
    import importlib  # only on first use: `--help` and settings need no torch

    return getattr(importlib.import_module(_MODULES.get(name, "finetune.finished")), name)
