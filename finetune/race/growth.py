"""What a whole run adds to a race's short one: as `make bench-strategy` measured it, see docs/strategy.md."""

from __future__ import annotations

import math
from collections.abc import Mapping

from finetune.evidence.estimate import Estimate
from finetune.plan import SIMILARITIES

SIMILAR, DIFFERENT = SIMILARITIES
GROWTH: Mapping[str, Mapping[str, float]] = {
    "partial": {SIMILAR: 0.6, DIFFERENT: 0.6},
    "full": {SIMILAR: 0.5, DIFFERENT: 1.1},
}
"""Log-odds of a right answer that the remaining epochs add, by strategy and similarity; others have none.

Medians over the cells of the benchmark's first draw.
"""
SPREAD = 0.7
"""Standard deviation of that growth from cell to cell: how far a promise may be off for this alone."""
CLEAR = 2.0
"""Standard errors above chance from which a short run has learned anything that could grow."""


def usual_growth(strategy: str, similarity: str) -> float:
    """Log-odds that a whole run of the strategy usually adds to a race's short one."""
    return GROWTH.get(strategy, {}).get(similarity, 0.0)


def grown(accuracy: Estimate, images: int, *, growth: float, chance: float) -> Estimate:
    """The accuracy to expect of a whole run, from that of a short one on so many images.

    What is not clearly better than `chance` has learned nothing, and promises nothing more. The error holds
    that of the short run and the SPREAD of what the rest adds.
    """
    if not growth or accuracy.value - CLEAR * accuracy.error <= chance:
        return accuracy
    before = (accuracy.value * images + 0.5) / (images + 1)
    after = 1 / (1 + math.exp(-growth) * (1 - before) / before)
    slope = after * (1 - after)
    error = math.hypot(accuracy.error / (before * (1 - before)), SPREAD) * slope
    return Estimate(max(after, accuracy.value), error)
