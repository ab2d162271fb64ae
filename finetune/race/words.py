"""What a race found, in sentences and as numbers for plan.json."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from finetune.race.race import SHARE, Race
from finetune.race.verdict import CLOSE, Score
from finetune.strategies import find_strategy


def verdict_in_words(race: Race, expected: str, cell: tuple[str, str]) -> Iterator[str]:
    """Why this one won, and whether the table, which says `expected` for this cell, is of the same mind."""
    won, kind = race.winner, f"{cell[0]}, {cell[1]} data"
    others = {score.name: score for score in race.scores if score is not won}
    part = (
        ""
        if find_strategy(won.name).probe
        else f", after a part of {SHARE:g} of its training; of all of it {won.promise} is to be expected"
    )
    yield f"race: on images left out of training {won.name} is right on {won.accuracy}{part}"
    for score in others.values():
        ahead = score.over(won)
        if score.name in race.finished and ahead.value > 0:
            yield (
                f"{score.name} promises {ahead} more, within {CLOSE:g} standard errors: "
                f"the cheaper {won.name} stays"
            )
    if won.name == expected:
        yield f"{kind}: the table says {expected}, and what was measured agrees"
    elif expected in others:
        yield (
            f"{kind}: the table says {expected}, and the measurement goes against it: "
            f"{won.name} is {_against(won, others[expected])}"
        )
    else:
        yield f"{kind}: the table says {expected}, which cannot be had here"
    for name in race.left_out:
        yield f"{name} did not race: not one epoch of it fits the budget"


def as_record(race: Race) -> dict[str, object]:
    """Accuracy of each on what was left out, what a whole run promises, and its lead on the winner."""
    won = race.winner
    return {
        "winner": won.name,
        "rounds": race.rounds,
        "seconds": round(race.seconds, 1),
        "left_out": list(race.left_out),
        "scores": {
            score.name: {
                "accuracy": asdict(score.accuracy),
                "expected": asdict(score.promise),
                "images": int((~np.isnan(score.hits)).sum()),
                "over_winner": asdict(score.over(won)),
                "finished": score.name in race.finished,
            }
            for score in race.scores
        },
    }


def _against(won: Score, other: Score) -> str:
    difference = won.over(other)
    if difference.value > CLOSE * difference.error:
        return f"expected to be better by {difference}"
    return f"as good ({difference}) and cheaper"
