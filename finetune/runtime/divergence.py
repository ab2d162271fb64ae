"""Detecting divergence: the loss is not finite, or three times as high as at the start."""

from __future__ import annotations

import math
from collections import deque

FACTOR = 3.0
WINDOW = 5
"""Batches over which the loss is averaged, so that one unusual batch is no divergence."""


class Divergence:
    """Observes the loss of each batch; `chance` is the loss of equal probabilities.

    The loss at the start is the first one observed, or `chance` where that is higher: a loss that starts
    near 0 may become three times as high without any problem.
    """

    def __init__(self, chance: float) -> None:
        self.chance = chance
        self.start: float | None = None
        self.recent: deque[float] = deque(maxlen=WINDOW)

    def observe(self, loss: float) -> str | None:
        """Return why training should stop after this batch; None otherwise."""
        if not math.isfinite(loss):
            return f"the loss is {loss}; expected a finite number"
        if self.start is None:
            self.start = max(loss, self.chance)
        self.recent.append(loss)
        mean = sum(self.recent) / len(self.recent)
        if mean <= FACTOR * self.start:
            return None
        return f"the loss is {mean:.3g}, over three times its start, {self.start:.3g}; expected it to fall"
