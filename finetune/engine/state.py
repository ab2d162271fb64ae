"""How far a training run is: what a checkpoint holds beside weights, optimiser and random states."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from finetune.optim.plateau import Plateau


@dataclass
class Standing:
    """Counts of the run, sums over the current epoch, and the best validation result so far.

    `batch` counts within the epoch, `step` the updates of the whole run; `loss` is the sum over `images`.
    `plateau` lowers the learning rate where the schedule asks for it.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    images: int = 0
    loss: float = 0.0
    best_epoch: int = -1
    best_score: float = -math.inf
    best_loss: float = math.inf
    plateau: Plateau | None = None

    @property
    def damping(self) -> float:
        """What a plateau multiplies the learning rate by."""
        return 1.0 if self.plateau is None else self.plateau.multiplier

    def state_dict(self) -> dict[str, Any]:
        """The fields, for accelerate."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the fields back."""
        plateau = None if self.plateau is None else self.plateau.load_state_dict(state["plateau"])
        vars(self).update(state | {"plateau": plateau})

    def observe(self, score: float, loss: float) -> bool:
        """Take in the validation result of the epoch that ends; whether it is the best so far."""
        best = self.improves(score, loss)
        if best:
            self.best_epoch, self.best_score, self.best_loss = self.epoch, score, loss
        if self.plateau is not None:
            self.plateau = self.plateau.observe(score)
        return best

    def next_epoch(self) -> None:
        """Count the epoch, and start its sums afresh."""
        self.epoch, self.batch, self.images, self.loss = self.epoch + 1, 0, 0, 0.0

    def improves(self, score: float, loss: float) -> bool:
        """Whether a validation result beats the best so far; equal scores are told apart by the loss."""
        return (score, -loss) > (self.best_score, -self.best_loss)

    def stalled(self, patience: int) -> bool:
        """Whether `patience` epochs have gone by since the best one."""
        return self.epoch - 1 - self.best_epoch >= patience
