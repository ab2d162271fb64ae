"""Hyperparameter search: short runs with values drawn from ranges of the spec."""

from finetune.search.record import Trial
from finetune.search.search import SearchReport, search

__all__ = ["SearchReport", "Trial", "search"]
