"""The `search` section: which keys of the spec are varied, over which ranges, and how."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_serializer, model_validator

from finetune.config.settings import Off, OneOf, Seed, Settings
from finetune.optim.ranges import Count

Ends = Annotated[list[float], Field(min_length=2, max_length=2)]
WholeEnds = Annotated[list[int], Field(min_length=2, max_length=2)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
LOCAL = "local"


class Range(OneOf):
    """The range of the values of one key, such as `{log: [0.001, 1]}`."""

    log: Ends | None = None
    """Numbers above 0, uniform in their logarithm."""
    uniform: Ends | None = None
    """Numbers, uniform between the two."""
    int: WholeEnds | None = None
    """Integers, both ends included."""
    choice: Annotated[list[Any], Field(min_length=1)] | None = None
    """A list of values."""

    @model_validator(mode="after")
    def _check_ends(self) -> Self:
        kind, given = self.chosen
        if kind == "choice":
            if any(given.count(value) > 1 for value in given):
                raise ValueError(f"choice: expected each value once; found {given}")
        elif not given[0] < given[1]:
            raise ValueError(f"{kind}: expected the lower end first; found {given[0]:g} to {given[1]:g}")
        elif kind == "log" and given[0] <= 0:
            raise ValueError(f"log: expected ends above 0; found {given[0]:g} to {given[1]:g}")
        return self

    @model_serializer
    def _dump(self) -> dict[str, Any]:
        return dict([self.chosen])


class Fine(Settings):
    """The second part of a search uses smaller ranges, around the best trials of the first part."""

    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of all trials in the second part."""
    best: Count = 3
    """The smaller ranges include this many best trials of the first part."""


DEFAULT_SPACE = {
    "finetune.learning_rate": Range(log=[1e-4, 1.0]),
    "finetune.weight_decay": Range(log=[1e-6, 1e-2]),
}


class SearchSettings(Settings):
    """Hyperparameter search: short runs with values from ranges, compared on the validation split."""

    space: dict[str, Range] = DEFAULT_SPACE
    """Range by dotted key of the spec."""
    trials: Count = 20
    """Number of runs, including stopped ones."""
    epochs: Count | Literal["auto"] = "auto"
    """Epochs per run; auto: a quarter of a full run."""
    sampler: Literal["random", "tpe", "gp", "qmc"] = "random"
    """How values are chosen: at random, by Parzen estimators, by a Gaussian process, or evenly (Sobol)."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """Which runs stop early: those below the median of the others at that epoch, or by Hyperband."""
    fine: Off[Fine | Literal["auto"]] = "auto"
    """Second part with smaller ranges; auto: for the random sampler, since others adapt by themselves."""
    seed: Seed = 0
    """Random seed of the sampler; the runs use the seed of `finetune`."""
    storage: str = LOCAL
    """local, a database file in the search's folder; or the URL of a database that machines share."""
    study: Name | None = None
    """Name of the search in the storage; by default the name of the spec."""

    @field_validator("storage")
    @classmethod
    def _check_storage(cls, storage: str) -> str:
        if storage != LOCAL and not re.match(r"[a-z][a-z0-9+]*://.", storage):
            raise ValueError(f"expected local, or a URL such as postgresql://host/name; found '{storage}'")
        return storage

    @model_validator(mode="after")
    def _check_fine(self) -> Self:
        if isinstance(self.fine, Fine) and self.sampler in ("gp", "qmc"):
            raise ValueError(
                f"fine: the ranges of {self.sampler} cannot change; "
                "expected fine: none, or sampler random or tpe"
            )
        return self

    @property
    def fine_part(self) -> Fine | None:
        """Settings of the second part; None where there is none."""
        if self.fine == "auto":
            return Fine() if self.sampler == "random" else None
        return self.fine

    @property
    def coarse_trials(self) -> int:
        """Number of trials in the first part."""
        fine = self.fine_part
        return self.trials if fine is None else self.trials - round(self.trials * fine.share)
