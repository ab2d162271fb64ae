"""The result of a race, in sentences and as a record."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from finetune.planning.race.decision import MIN_GAIN, MIN_ROUND_GAIN
from finetune.planning.race.race import Race
from finetune.records.evidence import RaceResult, RaceScore
from finetune.records.plan import Cell
from finetune.strategies import find_strategy


def describe_race(race: Race, usual: str, cell: Cell) -> Iterator[str]:
    """Say why the winner won, and whether that is the strategy that is `usual` for this cell."""
    winner, kind = race.winner, f"{cell[0]}, {cell[1]} data: the table says {usual}"
    yield _describe_winner(race)
    for name in race.names:
        gain = race.posterior.gain(name, over=winner)
        if name != winner and gain.value > 0 and not race.at_chance:
            yield (
                f"{name} is expected to gain {gain.points}, not above {100 * MIN_GAIN:g}: "
                f"the cheaper {winner} is chosen"
            )
    if winner == usual:
        yield f"{kind}, and the {'benchmark' if race.accuracy(winner) is None else 'measurement'} agrees"
    elif usual in race.names:
        yield f"{kind}, but the measurement disagrees: {winner} is {_compare(race, usual)}"
    else:
        yield f"{kind}, which is not possible here"
    for name in race.left_out:
        what = "it" if find_strategy(name).probe else "a trial of it"
        yield f"{name} did not race: the budget is too short for {what}"


def summarise_race(race: Race) -> RaceResult:
    """Return the race as the record that plan.json holds."""
    return RaceResult(
        winner=race.winner,
        at_chance=race.at_chance,
        rounds=race.rounds,
        seconds=round(race.seconds, 1),
        left_out=race.left_out,
        scores={
            name: RaceScore(
                accuracy=race.accuracy(name),
                images=int(np.isfinite(race.answers[name]).sum()) if name in race.answers else 0,
                expected=race.posterior.expected(name),
                over_winner=race.posterior.gain(name, over=race.winner),
            )
            for name in race.names
        },
    )


def _describe_winner(race: Race) -> str:
    winner, accuracy = race.winner, race.accuracy(race.winner)
    if race.at_chance:
        return (
            f"race: no strategy is clearly better than guessing ({race.chance:.1%}): the cheapest is chosen"
        )
    whole = f"the whole run is expected to reach {race.posterior.expected(winner).percent}"
    if accuracy is None:
        return f"race: no trial of {winner} could have gained {MIN_ROUND_GAIN:.1%} by another choice; {whole}"
    run = race.short_runs.get(winner)
    part = "" if run is None else f" after {run.plan.epochs} of its {run.epochs} epochs"
    return f"race: {winner} has held-out accuracy {accuracy.percent}{part}; {whole}"


def _compare(race: Race, other: str) -> str:
    if race.at_chance:
        return "cheaper"
    gain = race.posterior.gain(race.winner, over=other)
    if gain.value > MIN_GAIN:
        return f"expected to gain {gain.points}"
    return f"as good ({gain.points}) and cheaper"
