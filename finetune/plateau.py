"""What watches the validation score: the rate that falls on a plateau, and early stopping.

Scores are better when higher. Both are values: `observe` gives the next one and changes nothing.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Self

from zoo.registry import Call


@dataclass(frozen=True)
class Watch:
    """The best score so far and for how many epochs none was better by more than `min_delta`."""

    patience: int
    min_delta: float = 0.0
    best: float = -math.inf
    best_epoch: int = -1
    waited: int = 0

    def observe(self, epoch: int, score: float) -> Self:
        """The watch after one more epoch; a score that is not a number is no improvement."""
        if score > self.best + self.min_delta:
            return dataclasses.replace(self, best=score, best_epoch=epoch, waited=0)
        return dataclasses.replace(self, waited=self.waited + 1)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> Self:
        """The watch that a checkpoint holds, with this one's settings."""
        kept = {name: state[name] for name in ("best", "best_epoch", "waited")}
        return dataclasses.replace(self, **kept)


@dataclass(frozen=True)
class EarlyStopping(Watch):
    """Stops when `patience` epochs went by without a better score.

    Source: Prechelt 1998, Early stopping: but when?; Deep Learning book, algorithm 7.1.
    """

    @property
    def improved(self) -> bool:
        """Whether the epoch just observed is the best one."""
        return self.best_epoch >= 0 and self.waited == 0

    @property
    def should_stop(self) -> bool:
        """Whether patience is at its end."""
        return self.waited >= self.patience


@dataclass(frozen=True)
class Plateau(Watch):
    """The rate's multiplier, `factor` times smaller after every `patience` epochs without a better score."""

    factor: float = 0.1
    multiplier: float = 1.0

    def observe(self, epoch: int, score: float) -> Self:
        """The plateau after one more epoch."""
        seen = super().observe(epoch, score)
        if seen.waited < self.patience:
            return seen
        return dataclasses.replace(seen, waited=0, multiplier=self.multiplier * self.factor)

    def load_state_dict(self, state: dict[str, Any]) -> Self:
        """The plateau that a checkpoint holds, with this one's settings."""
        return dataclasses.replace(super().load_state_dict(state), multiplier=state["multiplier"])


def build_plateau(schedule: Call) -> Plateau | None:
    """The plateau that the spec's schedule asks for; None for every other schedule."""
    return Plateau(**schedule.args) if schedule.op == "plateau" else None
