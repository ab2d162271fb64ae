"""Who wins a race, and whether another round could change that."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

from finetune.planning.race.belief import Belief, Seen

WORTH = 0.01
"""Accuracy that a dearer strategy has to be expected to bring."""
ROUND_WORTH = 0.005
"""Accuracy that another round has to bring on average, by a better choice, to be worth its time."""
NORMAL = NormalDist()


def winner(names: Sequence[str], belief: Belief) -> str:
    """The first, and so the cheapest, that none is expected to beat by more than WORTH.

    In: at least one strategy, from the cheapest to the dearest.
    """
    best = leader(names, belief)
    return next(name for name in names if belief.gain(best, over=name).value <= WORTH)


def leader(names: Sequence[str], belief: Belief) -> str:
    """The one of which most is expected; of equals, the first."""
    return max(names, key=lambda name: belief.expected(name).value)


def worth_of_a_round(name: str, names: Sequence[str], belief: Belief, seen: Seen, images: int) -> float:
    """Accuracy that asking a strategy for so many more images is expected to bring, by a better choice.

    That is how often the answer would turn around who is ahead, and by how much, were it to.
    """
    then, best = belief.after_a_round(name, seen, images), leader(names, belief)
    rivals = [other for other in names if other != name] if name == best else [best]
    return max((_turn(belief, name, rival, then) for rival in rivals), default=0.0)


def _turn(belief: Belief, one: str, other: str, then: Belief) -> float:
    """Mean of what lies beyond zero of a normal distribution around the lead of the one that is ahead."""
    lead, error = abs(belief.gain(one, other).value), belief.learnt(one, other, then)
    if not error:
        return 0.0
    away = lead / error
    return error * (NORMAL.pdf(away) - away * (1 - NORMAL.cdf(away)))
