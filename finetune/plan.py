"""The plan of a run: which strategy, what trains, for how long, and the reasons as numbers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.precision import Precision
from zoo.errors import GraftError

SIZES = ("very little data", "quite a lot of data")
SIMILARITIES = ("similar", "different")

NUMBERS = {"epochs": int, "batch_size": int, "learning_rate": int | float}


@dataclass(frozen=True)
class Plan:
    """What will be done, settled before training starts, and why.

    `trains` holds the module paths that learn (prefixes; `""` is the whole network). `head` tells where the
    head starts: `fresh`, from random weights, or `probe`, from a linear classifier fitted first. `cell` is
    the place in the size and similarity table, None where no pretrained weights leave it without meaning.
    `summary` says it all in a paragraph.
    """

    strategy: str
    trains: tuple[str, ...]
    head: str
    epochs: int
    batch_size: int
    learning_rate: float
    precision: Precision
    cell: tuple[str, str] | None
    reasons: tuple[str, ...]
    evidence: Mapping[str, object]
    summary: str = ""

    def to_json(self) -> str:
        """The plan as the text of plan.json."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def read_plan(path: Path) -> Plan:
    """The plan that stands in a plan.json.

    Raises: GraftError when the file is missing, is not JSON, lacks a field or has one too many, has one of
    another kind, or holds a race without expected accuracies.
    """
    expected = [field.name for field in dataclasses.fields(Plan)]
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise GraftError(f"{path}: cannot be read as a plan: {error}") from error
    if not isinstance(values, dict) or sorted(values) != sorted(expected):
        found = ", ".join(values) if isinstance(values, dict) else type(values).__name__
        raise GraftError(f"{path}: not a plan; found {found}; expected the fields {', '.join(expected)}")
    for name, kind in NUMBERS.items():
        if not isinstance(values[name], kind) or isinstance(values[name], bool):
            raise GraftError(f"{path}: {name} is {values[name]!r}; expected a number")
    try:
        scores = values["evidence"].get("race", {}).get("scores", {})
        lacking = [name for name, score in scores.items() if "expected" not in score]
        plan = plan_from(values)
    except (AttributeError, KeyError, TypeError) as error:
        raise GraftError(f"{path}: not as `make plan` writes a plan: {error}") from error
    if lacking:
        raise GraftError(
            f"{path}: its race expects nothing of {lacking[0]}, as older plans did; expected a plan that "
            "`make plan` writes now, or one without `race` in its evidence"
        )
    return plan


def plan_from(values: Mapping[str, Any]) -> Plan:
    """What the JSON of a plan holds, as the plan again."""
    cell = values["cell"]
    return Plan(
        **dict(values)
        | {
            "trains": tuple(values["trains"]),
            "reasons": tuple(values["reasons"]),
            "precision": Precision(**values["precision"]),
            "cell": tuple(cell) if cell else None,
        }
    )
