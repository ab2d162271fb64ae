"""The plan of a run: which strategy, what trains, for how long, and the reasons as numbers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field

from finetune.runtime.precision import Precision

SIZES = ("very little data", "quite a lot of data")
SIMILARITIES = ("similar", "different")

Cell = tuple[str, str]


def _check_cell(cell: Cell | None) -> Cell | None:
    if cell is not None and (cell[0] not in SIZES or cell[1] not in SIMILARITIES):
        raise ValueError(f"found {', '.join(cell)}; expected one of {SIZES} and one of {SIMILARITIES}")
    return cell


@dataclass(frozen=True)
class Plan:
    """What will be done, settled before training starts, and why.

    `trains` holds the module paths that learn (prefixes; `""` is the whole network). `head` tells where the
    head starts: `fresh`, from random weights, or `probe`, from a linear classifier fitted first. `cell` is
    the place in the size and similarity table, None where no pretrained weights leave it without meaning.
    `summary` says it all in a paragraph.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    strategy: str
    trains: tuple[str, ...]
    head: Literal["fresh", "probe"]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    precision: Precision
    cell: Annotated[Cell | None, AfterValidator(_check_cell)]
    reasons: tuple[str, ...]
    evidence: Mapping[str, object]
    summary: str = ""

    def to_json(self) -> str:
        """The plan as the text of plan.json."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


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
