"""The card of a file of weights, beside it as NAME.card.yaml: what they are, whence, and how good."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from zoo.errors import Mark, Problem, SpecError
from zoo.spec.check import check
from zoo.spec.dump import to_yaml
from zoo.spec.header import Name, PositiveInt, TrainedInput
from zoo.spec.reader import read_file

SUFFIX = ".card.yaml"
STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
Share = Annotated[float, Field(ge=0, le=1)]


class Score(BaseModel):
    """How often the network is right, as shares of the `images` of `split`."""

    model_config = STRICT

    split: str
    images: PositiveInt
    top1: Share
    top5: Share | None = None


class StageStatistics(BaseModel):
    """A stage's features averaged over places: mean and standard deviation of every channel over images."""

    model_config = STRICT

    mean: list[float]
    std: list[Annotated[float, Field(ge=0)]]

    @model_validator(mode="after")
    def _agree(self) -> StageStatistics:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} channels, std {len(self.std)}")
        return self


class Card(BaseModel):
    """Everything that is said of weights. `sha256` is that of the file; `choices` those of the spec.

    `recipe` is the training in words, `command` what to type to get the weights again, with `seed`;
    `labels` are the classes in the order of the network's outputs.
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
    def _has_its_labels(self) -> Card:
        if self.labels and len(self.labels) != self.classes:
            raise ValueError(f"{len(self.labels)} labels for {self.classes} classes")
        return self


CARD = TypeAdapter(Card)


def card_path(weights: Path) -> Path:
    """Give the place of the card of a file of weights."""
    return weights.with_suffix(SUFFIX)


def find_card(weights: Path) -> Card | None:
    """Read the card beside a file of weights, None where there is none. Raises GraftError, SpecError."""
    path = card_path(weights)
    return _known_card(path, path.stat().st_mtime_ns) if path.is_file() else None


@cache
def _known_card(path: Path, changed: int) -> Card:
    """Read a card once for each time it `changed`: it is asked for at every turn, and is long."""
    return read_card(path)


def read_card(path: Path) -> Card:
    """Read a card. Raises SpecError with every mistake in it, GraftError when it cannot be read."""
    problems: list[Problem] = []
    card = check(CARD, read_file(path, str(path)), Mark(str(path), 1, 1, ""), "", problems)
    if problems:
        raise SpecError(problems)
    assert isinstance(card, Card)
    return card


def write_card(card: Card, weights: Path) -> Path:
    """Write the card beside its file of weights, by a temporary name; give where."""
    path = card_path(weights)
    part = path.with_name(f".{path.name}.part")
    part.write_text(to_yaml(card.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    return part.replace(path)
