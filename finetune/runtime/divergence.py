"""Telling that training has broken down: the loss is no number, or three times what it was at the start."""

from __future__ import annotations

import math
from collections import deque

TIMES = 3.0
WINDOW = 5
"""Batches over which the loss is averaged before it is compared: one odd batch is no breakdown."""


class Divergence:
    """Looks at the loss of each batch; `chance` is the loss of an even guess.

    What counts as the start is the first loss seen, or chance where that is more: a network that begins
    with next to no loss may well come to have three times as much.
    """

    def __init__(self, chance: float) -> None:
        self.chance = chance
        self.start: float | None = None
        self.recent: deque[float] = deque(maxlen=WINDOW)

    def observe(self, loss: float) -> str | None:
        """Why training is to be stopped after this batch, in words; None while all is well."""
        if not math.isfinite(loss):
            return f"the loss is {loss}; expected a finite number"
        if self.start is None:
            self.start = max(loss, self.chance)
        self.recent.append(loss)
        mean = sum(self.recent) / len(self.recent)
        if mean <= TIMES * self.start:
            return None
        return f"the loss is {mean:.3g}, over three times its start, {self.start:.3g}; expected it to fall"
