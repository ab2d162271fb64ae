"""What is known of one trial, read from the study."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from optuna.trial import FrozenTrial, TrialState

from finetune.search.space import Space, decode

Outcome = Literal["whole", "pruned", "broken off", "refused", "running", "lost"]
ENDED: tuple[Outcome, ...] = ("whole", "pruned", "broken off")
"""The outcomes that say something about the values."""
PHASE, OUTCOME, REASON, LOSS, ORIGIN = "phase", "outcome", "reason", "val_loss", "again"


@dataclass(frozen=True)
class Trial:
    """One trial: what it tried, and how it went.

    `outcome` tells whether it trained for all its epochs (`whole`), was ended by the pruner, was broken off
    because its cost grew, had values that go with nothing else in the spec (`refused`), is still training, or
    was lost with its process. `score` is its best on the validation split, None before its first epoch is
    over; `loss` the validation loss at that epoch. `reason` says why it ended early.
    """

    number: int
    phase: str
    outcome: Outcome
    values: Mapping[str, object]
    score: float | None
    loss: float | None
    epochs: int
    seconds: float | None
    reason: str

    @property
    def counts(self) -> bool:
        """Whether it is one of the trials that the spec asks for; one that was lost is made up for."""
        return self.outcome != "lost"

    @property
    def rank(self) -> tuple[float, float]:
        """Higher is better; equal scores are told apart by the loss."""
        return (
            -math.inf if self.score is None else self.score,
            -math.inf if self.loss is None else -self.loss,
        )


def read_trial(trial: FrozenTrial, space: Space) -> Trial:
    """The record of one of optuna's trials."""
    attrs, scores = trial.user_attrs, trial.intermediate_values
    score = trial.value if trial.state == TrialState.COMPLETE else max(scores.values(), default=None)
    return Trial(
        number=trial.number,
        phase=attrs.get(PHASE, ""),
        outcome=_outcome(trial),
        values=decode(trial.params, space),
        score=score,
        loss=attrs.get(LOSS),
        epochs=len(scores),
        seconds=trial.duration.total_seconds() if trial.duration is not None else None,
        reason=attrs.get(REASON, ""),
    )


def best_trials(trials: Iterable[Trial], count: int) -> Sequence[Trial]:
    """At most so many whole trials, best first."""
    whole = [trial for trial in trials if trial.outcome == "whole"]
    return sorted(whole, key=lambda trial: trial.rank, reverse=True)[:count]


def _outcome(trial: FrozenTrial) -> Outcome:
    if trial.state == TrialState.COMPLETE:
        return "whole"
    if trial.state == TrialState.PRUNED:
        ended: Outcome = trial.user_attrs.get(OUTCOME, "pruned")
        return ended
    return "lost" if trial.state == TrialState.FAIL else "running"
