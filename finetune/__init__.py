"""Transfer learning: data, plan, training and run folders. `finetune.run` is the whole of it in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finetune.api import FinishedRun, RunReport, load_run, make_plan, run

__all__ = ["FinishedRun", "RunReport", "load_run", "make_plan", "run"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'finetune' has no attribute '{name}'")
    import importlib  # not before it is needed: `--help` and settings do without torch

    return getattr(importlib.import_module("finetune.api"), name)
