"""Looking on while a network trains, with the power to break it off."""

from __future__ import annotations


class Watch:
    """What the training loop tells; raising from either method ends the run. This one lets all pass."""

    def after_step(self, loss: float) -> None:
        """A batch has been learnt from; `loss` may be infinite or not a number."""

    def after_epoch(self, epoch: int, score: float, loss: float) -> None:
        """Epoch `epoch`, from 0, has been validated, with the task's score and the loss."""
