"""Hyper-parameter search: short runs with values drawn from ranges of the spec, and the best as a spec."""

from finetune.search.loop import SearchReport, search
from finetune.search.record import Trial

__all__ = ["SearchReport", "Trial", "search"]
