"""Who wins a race: hits on the same images compared one by one, and the cheaper where they are too close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetune.evidence.estimate import Estimate, Hits, gain, share
from finetune.race.growth import grown

CLOSE = 0.25
"""Standard errors of the difference within which the cheaper of two strategies stays."""
BEHIND = 2.0
"""Standard errors behind the leader at which a strategy is dropped."""


@dataclass(frozen=True)
class Score:
    """A strategy and its `hits` (N,) on the race's images, NaN where it was not asked.

    `growth` is what a whole run usually adds to these, in log-odds; `chance` what guessing would get.
    """

    name: str
    hits: Hits
    growth: float = 0.0
    chance: float = 0.0

    @property
    def accuracy(self) -> Estimate:
        """On the images that it was asked."""
        return share(self.hits)

    @property
    def promise(self) -> Estimate:
        """The accuracy to expect of a whole run."""
        asked: NDArray[np.bool_] = np.isfinite(self.hits)
        return self.promise_on(asked)

    def promise_on(self, asked: NDArray[np.bool_]) -> Estimate:
        """The same, by some (N,) of the images."""
        accuracy = share(self.hits[asked])
        return grown(accuracy, int(asked.sum()), growth=self.growth, chance=self.chance)

    def over(self, other: Score) -> Estimate:
        """By how much more it promises, on the images that both were asked.

        The error is that of what was measured: of the hits, image by image.
        """
        asked: NDArray[np.bool_] = np.isfinite(self.hits - other.hits)
        ahead = self.promise_on(asked).value - other.promise_on(asked).value
        return Estimate(ahead, gain(self.hits, other.hits).error)


def leader(scores: Sequence[Score]) -> Score:
    """The one that promises most on the images that all of them were asked; of equals, the first."""
    common: NDArray[np.bool_] = np.logical_and.reduce([np.isfinite(score.hits) for score in scores])
    return max(scores, key=lambda score: score.promise_on(common).value)


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
