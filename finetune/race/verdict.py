"""Who wins a race: hits on the same images compared one by one, and the cheaper where they are too close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finetune.evidence.estimate import Estimate, Hits, gain, share

CLOSE = 1.0
"""Standard errors of the difference within which the cheaper of two strategies stays."""
BEHIND = 2.0
"""Standard errors behind the leader at which a strategy is dropped."""


@dataclass(frozen=True)
class Score:
    """A strategy and its `hits` (N,) on the race's images, NaN where it was not asked."""

    name: str
    hits: Hits

    @property
    def accuracy(self) -> Estimate:
        """On the images that it was asked."""
        return share(self.hits)

    def over(self, other: Score) -> Estimate:
        """By how much it is better, on the images that both were asked."""
        return gain(self.hits, other.hits)


def leader(scores: Sequence[Score]) -> Score:
    """The most accurate on the images that all of them were asked; of equals, the first."""
    common = ~np.isnan([score.hits for score in scores]).any(axis=0)
    return max(scores, key=lambda score: float(score.hits[common].sum()))


def winner(scores: Sequence[Score]) -> Score:
    """The first, and so the cheapest, that the leader does not beat by more than CLOSE standard errors.

    In: scores of at least one strategy, from the cheapest to the dearest.
    """
    best = leader(scores)
    return next(score for score in scores if score is best or not _beats(best, score, CLOSE))


def still_running(scores: Sequence[Score]) -> list[Score]:
    """Those that are not clearly behind the leader; the leader alone, where it is clear of all others."""
    best = leader(scores)
    return [score for score in scores if score is best or not _beats(best, score, BEHIND)]


def _beats(one: Score, other: Score, errors: float) -> bool:
    better = one.over(other)
    return better.value > errors * better.error
