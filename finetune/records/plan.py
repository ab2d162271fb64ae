"""The plan of a run: strategy, what learns, for how long, and why; and plan.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

from finetune.records.evidence import STRICT, Evidence
from finetune.runtime.precision import Precision
from finetune.strategies import find_strategy
from zoo.spec.check import read_checked

SIZES = ("very little data", "quite a lot of data")
SIMILARITIES = ("similar", "different")

Cell = tuple[str, str]
"""A place in the table of size and similarity."""


def _check_cell(cell: Cell | None) -> Cell | None:
    if cell is not None and (cell[0] not in SIZES or cell[1] not in SIMILARITIES):
        raise ValueError(f"found {', '.join(cell)}; expected one of {SIZES} and one of {SIMILARITIES}")
    return cell


@dataclass(frozen=True)
class Plan:
    """What a run does, and why.

    `trains` holds the paths of the modules that learn; `""` is the whole network. `head` says where the head
    starts: `fresh`, from random weights, or `probe`, from a linear classifier that is fitted first. `cell` is
    the place in the table of size and similarity, None where there are no pretrained weights to compare with.
    `summary` is the plan in one paragraph. `batch_norm` says by what batch norms normalise in training: the
    statistics of each `batch`, or those `stored` with the weights.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    strategy: str
    trains: tuple[str, ...]
    head: Literal["fresh", "probe"]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    precision: Precision
    cell: Annotated[Cell | None, AfterValidator(_check_cell)]
    reasons: tuple[str, ...]
    evidence: Evidence
    summary: str = ""
    batch_norm: Literal["batch", "stored"] = "batch"

    def to_json(self) -> str:
        """Return the text of plan.json."""
        return PLAN.dump_json(self, indent=2).decode() + "\n"

    @property
    def minutes(self) -> float | None:
        """The predicted minutes of training for `epochs`; None where no time was forecast."""
        forecast = self.evidence.forecasts.get(self.strategy)
        if forecast is None:
            return None
        return forecast.minutes * (1 if find_strategy(self.strategy).probe else self.epochs / forecast.epochs)


PLAN = TypeAdapter(Plan)
"""Reads and writes plans as JSON."""


def read_plan(path: Path) -> Plan:
    """Read a plan.json, which a user may have edited.

    Raises: GraftError when the file is missing or is not text; SpecError, with the place of every mistake,
    when it is not JSON or does not hold a plan.
    """
    plan: Plan = read_checked(path, PLAN)
    return plan
