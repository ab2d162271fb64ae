"""How far training has come: what a checkpoint holds beside weights, optimiser and random states."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from finetune.optim.schedules import Plateau
from finetune.records.training import GradientTraining


@dataclass
class TrainState:
    """Counts of the run, sums over the current epoch, and the best validation result so far.

    `batch` counts the batches of the current epoch, `step` the updates of the whole run; `loss` is the sum
    over `images`. `plateau` lowers the learning rate when the schedule asks for it.
    """

    epoch: int = 0
    batch: int = 0
    batches_per_epoch: int = 0
    step: int = 0
    images: int = 0
    loss: float = 0.0
    best_epoch: int = -1
    best_score: float = -math.inf
    best_loss: float = math.inf
    plateau: Plateau | None = None

    @property
    def damping(self) -> float:
        """The factor by which a plateau multiplies the learning rate."""
        return 1.0 if self.plateau is None else self.plateau.multiplier

    def state_dict(self) -> dict[str, Any]:
        """Return the fields, for a checkpoint."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the fields."""
        plateau = None if self.plateau is None else self.plateau.load_state_dict(state["plateau"])
        vars(self).update(state | {"plateau": plateau})

    def count_batch(self, images: int, loss: float, *, updated: bool) -> None:
        """Count a batch with its mean loss, and the update that it ended, if any."""
        self.batch += 1
        self.step += updated
        self.images += images
        self.loss += loss * images

    def observe(self, score: float, loss: float) -> bool:
        """Count the validation result of the current epoch. Return whether it is the best so far.

        Of equal scores the one with the lower loss is better.
        """
        best = (score, -loss) > (self.best_score, -self.best_loss)
        if best:
            self.best_epoch, self.best_score, self.best_loss = self.epoch, score, loss
        if self.plateau is not None:
            self.plateau = self.plateau.observe(score)
        return best

    def next_epoch(self) -> None:
        """Count the epoch and reset its sums."""
        self.epoch, self.batch, self.images, self.loss = self.epoch + 1, 0, 0, 0.0

    def stalled(self, patience: int) -> bool:
        """Return whether `patience` epochs have passed since the best one."""
        return self.epoch - 1 - self.best_epoch >= patience

    def summary(self) -> GradientTraining:
        """Return the record of the training."""
        return GradientTraining(self.epoch, self.best_epoch + 1, self.step)
