"""Who wins a race, and whether another round could change that."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

from finetune.planning.race.posterior import Answers, Posterior

MIN_GAIN = 0.01
"""Accuracy by which a more expensive strategy has to be expected to be better."""
MIN_ROUND_GAIN = 0.005
"""Accuracy that another round has to gain on average, by a better choice, to be worth its time."""
NORMAL = NormalDist()


def choose_winner(names: Sequence[str], posterior: Posterior) -> str:
    """Return the first, and so the cheapest, that none is expected to beat by more than MIN_GAIN.

    In: at least one strategy, the cheapest first.
    """
    best = find_leader(names, posterior)
    return next(name for name in names if posterior.gain(best, over=name).value <= MIN_GAIN)


def find_leader(names: Sequence[str], posterior: Posterior) -> str:
    """Return the strategy with the highest expected accuracy; of equals, the first."""
    return max(names, key=lambda name: posterior.expected(name).value)


def round_gain(name: str, names: Sequence[str], posterior: Posterior, answers: Answers, images: int) -> float:
    """Return the accuracy gained on average, by a better choice, from asking a strategy for more images.

    It is the mean over the possible results of the lead that a change of leader would bring.
    """
    later, best = posterior.after_round(name, answers, images), find_leader(names, posterior)
    rivals = [other for other in names if other != name] if name == best else [best]
    return max((_overtaking_gain(posterior, name, rival, later) for rival in rivals), default=0.0)


def _overtaking_gain(posterior: Posterior, one: str, other: str, later: Posterior) -> float:
    """Return the mean of what lies beyond zero of a normal distribution around the present lead."""
    lead, error = abs(posterior.gain(one, other).value), posterior.expected_change(one, other, later)
    if not error:
        return 0.0
    distance = lead / error
    return error * (NORMAL.pdf(distance) - distance * (1 - NORMAL.cdf(distance)))
