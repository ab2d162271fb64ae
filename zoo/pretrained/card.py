"""The card of a file of weights, next to it as NAME.card.yaml: origin, training, accuracy, licence."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from files.paths import is_file
from zoo.spec.check import read_checked
from zoo.spec.header import Name, PositiveInt, TrainedInput
from zoo.spec.yaml import to_yaml

SUFFIX = ".card.yaml"
STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
Share = Annotated[float, Field(ge=0, le=1)]


class Score(BaseModel):
    """Accuracy from 0 to 1, measured on the `images` of `split`."""

    model_config = STRICT

    split: str
    images: PositiveInt
    top1: Share
    top5: Share | None = None


class StageStatistics(BaseModel):
    """Mean and standard deviation over images of every channel of a stage, averaged over positions."""

    model_config = STRICT

    mean: list[float]
    std: list[Annotated[float, Field(ge=0)]]

    @model_validator(mode="after")
    def _check_channels(self) -> StageStatistics:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} channels, std {len(self.std)}")
        return self


class Card(BaseModel):
    """The description of a file of weights. `sha256` is that of the file; `choices` are those of the spec.

    `recipe` describes the training; `command` repeats it, with `seed`. `labels` are the classes in the order
    of the network's outputs.
    """

    model_config = STRICT

    name: Name
    spec: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    params: PositiveInt
    dtype: str = "float32"
    classes: PositiveInt
    input: TrainedInput
    data: str
    licence: str
    recipe: str
    command: str
    seed: int | None = None
    score: Score
    choices: dict[str, str] = Field(default_factory=dict)
    stages: dict[str, StageStatistics] = Field(default_factory=dict)
    labels: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check_labels(self) -> Card:
        if self.labels and len(self.labels) != self.classes:
            raise ValueError(f"{len(self.labels)} labels for {self.classes} classes")
        return self


CARD = TypeAdapter(Card)


def card_path(weights: Path) -> Path:
    """Return the path of the card of a file of weights."""
    return weights.with_suffix(SUFFIX)


def find_card(weights: Path) -> Card | None:
    """Read the card of a file of weights, None if it has none. Raises GraftError, SpecError."""
    path = card_path(weights)
    return _read_cached(path, path.stat().st_mtime_ns) if is_file(path) else None


@cache
def _read_cached(path: Path, modified_ns: int) -> Card:
    return read_card(path)


def read_card(path: Path) -> Card:
    """Read a card. Raises SpecError with every mistake in it, GraftError if it cannot be read."""
    card: Card = read_checked(path, CARD)
    return card


def write_card(card: Card, weights: Path) -> Path:
    """Write the card of a file of weights, to a temporary name first; return its path."""
    path = card_path(weights)
    part = path.with_name(f".{path.name}.part")
    part.write_text(to_yaml(card.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    return part.replace(path)
