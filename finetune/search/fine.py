"""Coarse, then fine: smaller ranges round the best trials so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from finetune.config.search import Range
from finetune.search.space import Space, label


def narrow_space(space: Space, best: Sequence[Mapping[str, object]], coarse_trials: int) -> dict[str, Range]:
    """The ranges that hold the values of the best trials, within the old ones.

    Each is wider than those values by the mean distance between neighbouring coarse trials, a 1/n-th of the
    old range, at either end; of a choice, what the best trials chose is left.
    """
    return {
        key: _narrow(given, [values[key] for values in best], 1 / coarse_trials)
        for key, given in space.items()
    }


def _narrow(given: Range, values: Sequence[object], margin: float) -> Range:
    kind, ends = given.chosen
    if kind == "choice":
        chosen = {label(value) for value in values}
        return Range(choice=[value for value in ends if label(value) in chosen])
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    low, high = _span(numbers, ends, margin, log=kind == "log")
    if kind == "int":
        return Range(int=[math.floor(low), math.ceil(high)])
    return Range(log=[low, high]) if kind == "log" else Range(uniform=[low, high])


def _span(values: Sequence[float], ends: Sequence[float], margin: float, *, log: bool) -> tuple[float, float]:
    """Lowest and highest value, moved outwards by a share of the range, but not out of it."""
    if log:
        low, high = _span([math.log(v) for v in values], [math.log(end) for end in ends], margin, log=False)
        return min(max(math.exp(low), ends[0]), *values), max(min(math.exp(high), ends[1]), *values)
    moved = margin * (ends[1] - ends[0])
    return max(min(values) - moved, ends[0]), min(max(values) + moved, ends[1])
