"""The learning rate that falls when validation stalls."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from zoo.registry import Call


@dataclass(frozen=True)
class Plateau:
    """The rate's multiplier, `factor` times smaller after every `patience` epochs without a better score.

    A value: `observe` gives the next one. Scores are better when higher, by more than `min_delta`.
    """

    patience: int
    min_delta: float = 0.0
    factor: float = 0.1
    best: float = -math.inf
    waited: int = 0
    multiplier: float = 1.0

    def observe(self, score: float) -> Plateau:
        """The plateau after one more epoch; a score that is not a number is no improvement."""
        if score > self.best + self.min_delta:
            return dataclasses.replace(self, best=score, waited=0)
        if self.waited + 1 < self.patience:
            return dataclasses.replace(self, waited=self.waited + 1)
        return dataclasses.replace(self, waited=0, multiplier=self.multiplier * self.factor)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> Plateau:
        """The plateau that a checkpoint holds, with this one's settings."""
        kept = {name: state[name] for name in ("best", "waited", "multiplier")}
        return dataclasses.replace(self, **kept)


def build_plateau(schedule: Call) -> Plateau | None:
    """The plateau that the spec's schedule asks for; None for every other schedule."""
    return Plateau(**schedule.args) if schedule.op == "plateau" else None
