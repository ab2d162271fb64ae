"""The record of one trial, read from the study."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from optuna.trial import FrozenTrial, TrialState

from finetune.search.space import Space, decode

Outcome = Literal["completed", "pruned", "diverged", "invalid", "running", "interrupted"]
INFORMATIVE: tuple[Outcome, ...] = ("completed", "pruned", "diverged")
"""The outcomes from which something is learned about the values."""
PHASE, OUTCOME, REASON, LOSS = "phase", "outcome", "reason", "val_loss"
"""Keys of a trial's user attributes."""


@dataclass(frozen=True)
class Trial:
    """One trial: its values and its result.

    `outcome`: it trained for all its epochs (`completed`), was ended early by the pruner (`pruned`), was
    stopped because its loss diverged (`diverged`), had values that the rest of the spec does not allow
    (`invalid`), is `running`, or its process ended (`interrupted`). `score` is its best validation score,
    None before the first epoch ends; `loss` is the validation loss of that epoch. `reason` tells why it
    ended early.
    """

    number: int
    phase: Literal["", "coarse", "fine"]
    outcome: Outcome
    values: Mapping[str, object]
    score: float | None
    loss: float | None
    epochs: int
    seconds: float | None
    reason: str

    @property
    def counts(self) -> bool:
        """Whether it is one of the trials that the spec asks for; an interrupted one is replaced."""
        return self.outcome != "interrupted"

    @property
    def rank(self) -> tuple[float, float]:
        """The sort key; higher is better, and of equal scores the one with the lower loss."""
        return (
            -math.inf if self.score is None else self.score,
            -math.inf if self.loss is None else -self.loss,
        )


def read_trial(trial: FrozenTrial, space: Space) -> Trial:
    """Return the record of an Optuna trial."""
    attrs, scores = trial.user_attrs, trial.intermediate_values
    completed = trial.state == TrialState.COMPLETE
    return Trial(
        number=trial.number,
        phase=attrs.get(PHASE, ""),
        outcome=_read_outcome(trial),
        values=decode(trial.params, space),
        score=trial.value if completed else max(scores.values(), default=None),
        loss=attrs.get(LOSS),
        epochs=len(scores),
        seconds=trial.duration.total_seconds() if trial.duration is not None else None,
        reason=attrs.get(REASON, ""),
    )


def best_trials(trials: Iterable[Trial], count: int) -> Sequence[Trial]:
    """Return at most `count` completed trials, the best first."""
    completed = [trial for trial in trials if trial.outcome == "completed"]
    return sorted(completed, key=lambda trial: trial.rank, reverse=True)[:count]


def _read_outcome(trial: FrozenTrial) -> Outcome:
    if trial.state == TrialState.PRUNED:
        outcome: Outcome = trial.user_attrs.get(OUTCOME, "pruned")
        return outcome
    if trial.state == TrialState.COMPLETE:
        return "completed"
    return "interrupted" if trial.state == TrialState.FAIL else "running"
