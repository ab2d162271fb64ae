"""Reading a plan.json, which a user may have edited: everything wrong in it is told, with its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from finetune.planning.forecast import Forecast
from finetune.records.estimate import Estimate
from finetune.records.plan import Plan
from zoo.errors import Problem, SpecError
from zoo.spec.check import check
from zoo.spec.yaml import read_file


@dataclass(frozen=True)
class _Score:
    images: int
    accuracy: Estimate | None
    expected: Estimate


@dataclass(frozen=True)
class _Race:
    winner: str
    scores: dict[str, _Score]


@dataclass(frozen=True)
class _Evidence:
    """What is read again of a plan's evidence; the rest is for people."""

    images: int
    median_class: float
    forecast: dict[str, Forecast] = field(default_factory=dict)
    race: _Race = field(default_factory=lambda: _Race("", {}))


PLAN, EVIDENCE = TypeAdapter(Plan), TypeAdapter(_Evidence)


def read_plan(path: Path) -> Plan:
    """The plan that stands in a plan.json.

    Raises: GraftError when the file is missing or is no text; SpecError, with all that is wrong, when it is
    not JSON, lacks a field or has one too many, or has one of another kind.
    """
    node = read_file(path, str(path))
    problems: list[Problem] = []
    plan: Any = check(PLAN, node, node.mark, "", problems)
    evidence = node.get("evidence")
    if evidence is not None:
        check(EVIDENCE, evidence, evidence.mark, "evidence", problems)
    if problems:
        raise SpecError(problems)
    assert isinstance(plan, Plan)
    return plan
