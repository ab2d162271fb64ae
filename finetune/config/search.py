"""The `search` section: which keys of the spec are tried over which ranges, and how."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_serializer, model_validator

from finetune.config.switch import Off, OneOf, Settings
from finetune.optim.ranges import Count

Ends = Annotated[list[float], Field(min_length=2, max_length=2)]
WholeEnds = Annotated[list[int], Field(min_length=2, max_length=2)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
LOCAL = "local"


class Range(OneOf):
    """Where the values of one key are drawn from, such as `{log: [0.001, 1]}`."""

    log: Ends | None = None
    """Numbers above 0; each order of magnitude between the two is as likely as the next."""
    uniform: Ends | None = None
    """Numbers; each between the two is as likely."""
    int: WholeEnds | None = None
    """Whole numbers, both ends included."""
    choice: Annotated[list[Any], Field(min_length=1)] | None = None
    """Any values that the key may have."""

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
    """The second part of a search draws from smaller ranges, round the best trials of the first."""

    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of all trials that are drawn so."""
    best: Count = 3
    """The smaller ranges hold this many best trials of the first part."""


DEFAULT_SPACE = {
    "finetune.learning_rate": Range(log=[1e-4, 1.0]),
    "finetune.weight_decay": Range(log=[1e-6, 1e-2]),
}


class SearchSettings(Settings):
    """Hyper-parameter search: short runs with values drawn from ranges, judged on the validation split."""

    space: dict[str, Range] = DEFAULT_SPACE
    """Dotted key of the spec: where its values are drawn from."""
    trials: Count = 20
    """How many runs in all, those that were broken off included."""
    epochs: Count | Literal["auto"] = "auto"
    """How long a run is; auto: a quarter of a whole one."""
    sampler: Literal["random", "tpe", "gp", "qmc"] = "random"
    """How values are drawn: at random, by Parzen estimators, by a Gaussian process, or evenly (Sobol)."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """Which runs end early: those below the median of the others at that epoch, or by hyperband."""
    fine: Off[Fine | Literal["auto"]] = "auto"
    """Coarse, then fine; auto: for random draws, since other samplers draw near good trials by themselves."""
    seed: int = 0
    """Of the draws; the runs themselves have the seed of `finetune`."""
    storage: str = LOCAL
    """local, a database file in the search's folder; or the URL of a database that machines share."""
    study: Name | None = None
    """What the search is called in the storage; by default as the spec is."""

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
                f"fine: {self.sampler} draws from ranges that stay as they are; "
                "expected fine: none, or sampler random or tpe"
            )
        return self

    @property
    def fine_part(self) -> Fine | None:
        """How the second part is drawn; None where there is none."""
        if self.fine == "auto":
            return Fine() if self.sampler == "random" else None
        return self.fine

    @property
    def coarse_trials(self) -> int:
        """How many trials draw from the whole ranges."""
        fine = self.fine_part
        return self.trials if fine is None else self.trials - round(self.trials * fine.share)
