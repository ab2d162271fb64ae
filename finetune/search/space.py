"""The search space: ranges of the spec as Optuna's distributions, drawn values as overrides of the spec."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna import Trial
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

import zoo
from finetune.config.search import Range
from zoo.spec.nodes import MapNode

Space = Mapping[str, Range]
Values = dict[str, object]
DIGITS = 4
"""Significant digits of a drawn value, so that the table shows exactly what was tried."""


def label(value: object) -> str:
    """Return a choice as Optuna stores it and tables show it: text unchanged, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def distribution(given: Range) -> BaseDistribution:
    """Return the range as an Optuna distribution; a choice is represented by its labels."""
    kind, ends = given.chosen
    if kind == "choice":
        return CategoricalDistribution([label(value) for value in ends])
    if kind == "int":
        return IntDistribution(*ends)
    return FloatDistribution(*ends, log=kind == "log")


def draw(trial: Trial, space: Space, full_space: Space) -> Values:
    """Draw a value for every key of `space`; a trial that is retried keeps its values.

    Optuna requires every trial to have the same choices. They are those of `full_space`; the sampler
    restricts them to the ones in `space`.
    """
    params = dict(trial.params)
    for key, given in space.items():
        if key not in params:
            params[key] = _suggest(trial, key, given, full_space[key])
    return decode(params, full_space)


def _suggest(trial: Trial, key: str, given: Range, full: Range) -> object:
    kind, ends = given.chosen
    if kind == "choice":
        return trial.suggest_categorical(key, [label(value) for value in full.chosen[1]])
    if kind == "int":
        return trial.suggest_int(key, *ends)
    return trial.suggest_float(key, *ends, log=kind == "log")


def decode(params: Mapping[str, Any], full_space: Space) -> Values:
    """Return the values of the spec for Optuna's parameters; numbers are rounded within their range."""
    return {key: _decode(params[key], given) for key, given in full_space.items() if key in params}


def _decode(param: Any, given: Range) -> object:  # noqa: ANN401  any type that a storage returns
    kind, ends = given.chosen
    if kind == "choice":
        return next((value for value in ends if label(value) == param), param)
    if kind == "int":
        return int(param)
    return min(max(float(f"{param:.{DIGITS}g}"), ends[0]), ends[1])


def override_values(spec: zoo.Spec, values: Mapping[str, object]) -> zoo.Spec:
    """Return the spec with these values. A mapping replaces the old value; it is not merged with it.

    Raises: zoo.SpecError.
    """
    replaced = {
        key: None for key, value in values.items() if isinstance(value, dict) and _has_key(spec.document, key)
    }
    return zoo.override(zoo.override(spec, replaced) if replaced else spec, values)


def _has_key(document: MapNode, key: str) -> bool:
    node: object = document
    for part in key.split("."):
        if not isinstance(node, MapNode) or part not in node.items:
            return False
        node = node.items[part]
    return True


def narrow_space(space: Space, best: Sequence[Mapping[str, object]], coarse_trials: int) -> dict[str, Range]:
    """Return smaller ranges, within the old ones, that hold the values of the best trials.

    Each range extends beyond those values, on both sides, by a 1/n-th of the old range for n coarse trials:
    the mean distance between neighbouring values. A choice is restricted to what the best trials chose.
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
    low, high = _extend(numbers, ends, margin, log=kind == "log")
    if kind == "int":
        return Range(int=[math.floor(low), math.ceil(high)])
    return Range(log=[low, high]) if kind == "log" else Range(uniform=[low, high])


def _extend(
    values: Sequence[float], ends: Sequence[float], margin: float, *, log: bool
) -> tuple[float, float]:
    """Return the lowest and the highest value, moved outwards by a share of the range but not beyond it."""
    if log:
        low, high = _extend([math.log(v) for v in values], [math.log(end) for end in ends], margin, log=False)
        return min(max(math.exp(low), ends[0]), *values), max(min(math.exp(high), ends[1]), *values)
    moved = margin * (ends[1] - ends[0])
    return max(min(values) - moved, ends[0]), min(max(values) + moved, ends[1])
