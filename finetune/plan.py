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

    Raises: GraftError when the file is missing, is not JSON, or lacks a field or has one too many.
    """
    expected = [field.name for field in dataclasses.fields(Plan)]
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise GraftError(f"{path}: cannot be read as a plan: {error}") from error
    if not isinstance(values, dict) or sorted(values) != sorted(expected):
        found = ", ".join(values) if isinstance(values, dict) else type(values).__name__
        raise GraftError(f"{path}: not a plan; found {found}; expected the fields {', '.join(expected)}")
    return plan_from(values)


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
