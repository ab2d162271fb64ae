"""The values a search draws: from ranges of the spec to optuna's distributions, and to specs."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
"""Significant digits of a value that is drawn: what people read in a table is what was tried."""


def label(value: object) -> str:
    """A choice as optuna stores it and tables show it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def distribution(given: Range) -> BaseDistribution:
    """The range as optuna knows it; a choice by its labels."""
    kind, ends = given.chosen
    if kind == "choice":
        return CategoricalDistribution([label(value) for value in ends])
    if kind == "int":
        return IntDistribution(*ends)
    return FloatDistribution(*ends, log=kind == "log")


def draw(trial: Trial, space: Space, whole: Space) -> Values:
    """What the trial tries: a value of every key, from the ranges of `space`.

    A smaller choice is the sampler's affair: optuna wants the same choices, those of `whole`, in every trial.
    """
    return decode({key: _suggest(trial, key, given, whole[key]) for key, given in space.items()}, whole)


def _suggest(trial: Trial, key: str, given: Range, whole: Range) -> object:
    kind, ends = given.chosen
    if kind == "choice":
        return trial.suggest_categorical(key, [label(value) for value in whole.chosen[1]])
    return (
        trial.suggest_int(key, *ends) if kind == "int" else trial.suggest_float(key, *ends, log=kind == "log")
    )


def decode(params: Mapping[str, Any], whole: Space) -> Values:
    """The values of the spec that optuna's parameters stand for, numbers rounded within their range."""
    return {key: _decode(params[key], given) for key, given in whole.items() if key in params}


def _decode(param: Any, given: Range) -> object:  # noqa: ANN401  whatever the storage holds
    kind, ends = given.chosen
    if kind == "choice":
        return next((value for value in ends if label(value) == param), param)
    if kind == "int":
        return int(param)
    return min(max(float(f"{param:.{DIGITS}g}"), ends[0]), ends[1])


def override_values(spec: zoo.Spec, values: Mapping[str, object]) -> zoo.Spec:
    """The spec with these values in place of what stands there; a mapping is not mixed with the old one.

    Raises: zoo.SpecError.
    """
    replaced = {
        key: None for key, value in values.items() if isinstance(value, dict) and _stands(spec.document, key)
    }
    return zoo.override(zoo.override(spec, replaced) if replaced else spec, values)


def _stands(document: MapNode, key: str) -> bool:
    node: object = document
    for part in key.split("."):
        if not isinstance(node, MapNode) or part not in node.items:
            return False
        node = node.items[part]
    return True
