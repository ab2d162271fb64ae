"""What a plan was chosen by: sizes, measurements, forecasts of time, and the result of the race."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from finetune.records.estimate import Estimate

STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Forecast:
    """How long a strategy would take: `minutes` for `epochs`, with validation and everything else in a run.

    `images_per_s` is the speed of a step on images of the network's full size. `trainings` is the length of
    the whole run in lengths of its first training, at most: more than 1 with bagging, or with training after
    early stopping.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    epochs: Annotated[int, Field(ge=1)]
    images_per_s: float
    minutes: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    trainings: Annotated[float, Field(ge=1)] = 1.0

    @property
    def epoch_s(self) -> float:
        """Seconds of one epoch of one training, more than 0."""
        return max(60 * self.minutes / self.trainings / self.epochs, 1e-9)


@dataclass(frozen=True)
class RaceScore:
    """How one strategy did in the race.

    `accuracy` is the held-out accuracy over the `images` that were asked, None where none were. `expected` is
    the accuracy expected of a whole run, `over_winner` its expected gain over the winner's.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    accuracy: Estimate | None
    images: int
    expected: Estimate
    over_winner: Estimate


@dataclass(frozen=True)
class RaceResult:
    """The result of a race. `at_chance` means that no strategy was clearly better than guessing."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    winner: str
    at_chance: bool
    rounds: int
    seconds: float
    left_out: tuple[str, ...]
    scores: Mapping[str, RaceScore]


@dataclass(frozen=True)
class Evidence:
    """The numbers behind a plan.

    `images` counts the training images, `smallest_class` and `median_class` those per class.
    `measured_images` is the size of the sample that `measured`, by name, was measured on. `rate_scale` is the
    factor on the default learning rates. `forecasts` are by strategy.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    images: int
    smallest_class: int
    median_class: float
    measured_images: int = 0
    measured: Mapping[str, Estimate] = field(default_factory=dict)
    rate_scale: float = 1.0
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)
    race: RaceResult | None = None
