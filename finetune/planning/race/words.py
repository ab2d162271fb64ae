"""What a race found, in sentences and as numbers for plan.json."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from finetune.planning.race.race import Race
from finetune.planning.race.verdict import ROUND_WORTH, WORTH
from finetune.strategies import find_strategy


def verdict_in_words(race: Race, expected: str, cell: tuple[str, str]) -> Iterator[str]:
    """Why this one won, and whether the table, which says `expected` for this cell, is of the same mind."""
    won, kind = race.winner, f"{cell[0]}, {cell[1]} data"
    yield _found(race)
    for name in race.names:
        ahead = race.belief.gain(name, over=won)
        if name != won and ahead.value > 0 and not race.blind:
            yield f"{name} promises {ahead} more, not above {WORTH:g}: the cheaper {won} stays"
    if won == expected:
        basis = "what the benchmark saw" if race.accuracy(won) is None else "what was measured"
        yield f"{kind}: the table says {expected}, and {basis} agrees"
    elif expected in race.names:
        yield (
            f"{kind}: the table says {expected}, and the measurement goes against it: "
            f"{won} is {_against(race, expected)}"
        )
    else:
        yield f"{kind}: the table says {expected}, which cannot be had here"
    for name in race.left_out:
        what = "it" if find_strategy(name).probe else "a trial of it"
        yield f"{name} did not race: the budget leaves no time for {what}"


def as_record(race: Race) -> dict[str, object]:
    """Accuracy of each on what was left out, what is expected of a whole run, and its lead on the winner."""
    return {
        "winner": race.winner,
        "blind": race.blind,
        "rounds": race.rounds,
        "seconds": round(race.seconds, 1),
        "left_out": list(race.left_out),
        "scores": {name: _score(race, name) for name in race.names},
    }


def _score(race: Race, name: str) -> dict[str, object]:
    accuracy = race.accuracy(name)
    return {
        "accuracy": None if accuracy is None else asdict(accuracy),
        "images": int(np.isfinite(race.seen[name]).sum()) if name in race.seen else 0,
        "expected": asdict(race.belief.expected(name)),
        "over_winner": asdict(race.belief.gain(name, over=race.winner)),
    }


def _found(race: Race) -> str:
    won, accuracy = race.winner, race.accuracy(race.winner)
    if race.blind:
        return f"race: nothing is clearly better than guessing ({race.chance:.1%}), so the cheapest stays"
    whole = f"of a whole run {race.belief.expected(won)} is to be expected"
    if accuracy is None:
        return f"race: no trial of {won} could have changed the choice by {ROUND_WORTH:g} or more; {whole}"
    trial = race.trials.get(won)
    part = "" if trial is None else f", after {trial.plan.epochs} of its {trial.epochs} epochs"
    return f"race: on images left out of training {won} is right on {accuracy}{part}; {whole}"


def _against(race: Race, other: str) -> str:
    if race.blind:
        return "cheaper"
    difference = race.belief.gain(race.winner, over=other)
    if difference.value > WORTH:
        return f"expected to be better by {difference}"
    return f"as good ({difference}) and cheaper"
