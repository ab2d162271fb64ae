"""Callbacks: what the trainer calls while a network trains, and the one that stops a diverging training."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from finetune.engine.state import TrainState
from finetune.records.metrics_log import EpochRecord

DIVERGED_FACTOR = 3.0
LOSS_WINDOW = 5
"""Batches over which the loss is averaged, so that one unusual batch is no divergence."""


class Callback:
    """Called by the trainer at fixed moments. Every method does nothing here: override those you need.

    An exception raised by a method ends the training. The methods for the end of a batch, update or epoch are
    called before the checkpoint that includes it, so a resumed run repeats all calls since its checkpoint.
    """

    def on_train_start(self, state: TrainState, *, resumed: bool) -> None:
        """Called before the first batch. `resumed` is True when training continues from a checkpoint."""

    def on_batch_start(self, state: TrainState) -> None:
        """Called before each batch, which `state` does not count yet."""

    def on_batch_end(self, state: TrainState, loss: float) -> None:
        """Called after each batch with its loss, which may be infinite or NaN."""

    def on_update_end(self, state: TrainState) -> None:
        """Called after each update of the weights; `state.step` counts it."""

    def extend_record(self, record: EpochRecord) -> EpochRecord:
        """Return the epoch's record with what this callback measured. Called before the record is written."""
        return record

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Called once the epoch is validated and its record is in the log."""

    def on_train_end(self) -> None:
        """Called after the last epoch, while the network still has its last weights."""

    def state_dict(self) -> dict[str, Any]:
        """Return what the callback has to know again in a resumed run: mappings, lists, tensors, numbers."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned. Called before `on_train_start`."""

    def close(self) -> None:
        """Called last of all, also when training fails: release what was opened."""


class Divergence:
    """Observes the loss of each batch; `chance` is the loss of equal probabilities.

    The loss at the start is the first one observed, or `chance` where that is higher: a loss that starts
    near 0 may become three times as high without any problem.
    """

    def __init__(self, chance: float) -> None:
        self.chance = chance
        self.start: float | None = None
        self.recent: deque[float] = deque(maxlen=LOSS_WINDOW)

    def observe(self, loss: float) -> str | None:
        """Return why training should stop after this batch; None otherwise."""
        if not math.isfinite(loss):
            return f"the loss is {loss}; expected a finite number"
        if self.start is None:
            self.start = max(loss, self.chance)
        self.recent.append(loss)
        mean = sum(self.recent) / len(self.recent)
        if mean <= DIVERGED_FACTOR * self.start:
            return None
        return f"the loss is {mean:.3g}, over three times its start, {self.start:.3g}; expected it to fall"


class DivergedError(Exception):
    """The loss is not finite, or grew to three times its start. The message says which."""


class DivergenceGuard(Callback):
    """Ends the training when its loss diverges."""

    def __init__(self, chance_loss: float) -> None:
        self.divergence = Divergence(chance_loss)

    def on_batch_end(self, state: TrainState, loss: float) -> None:
        """Raises: DivergedError."""
        reason = self.divergence.observe(loss)
        if reason is not None:
            raise DivergedError(reason)

    def state_dict(self) -> dict[str, Any]:
        """Return the losses that later ones are compared with."""
        return {"start": self.divergence.start, "recent": list(self.divergence.recent)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore these losses."""
        self.divergence.start = state["start"]
        self.divergence.recent.extend(state["recent"])
