"""`make bench-hindsight`: how the choice does where its prior holds nothing of the data set.

The short runs that `make bench-prior` recorded are raced again, each data set with a prior from the others
alone, and with the whole prior. Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np

from bench.document import machine, write_between
from bench.pool import Line, read_log
from bench.prior import RACERS, RACES
from bench.regret import Cell, Runs, best, by_cell
from bench.regret import accuracy as mean_accuracy
from bench.strategy import DOCUMENT, SPEC, log_of
from finetune.planning.race.prior import Row, fit_prior, read_rows
from finetune.planning.race.race import Race, compete
from finetune.records.estimate import Correct
from finetune.strategies import find_strategy

PROBES = tuple(name for name in RACERS if find_strategy(name).probe)
TRAINED = tuple(name for name in RACERS if name not in PROBES)
Rows = Sequence[Row]
Known = Callable[[Line, Rows], Rows]
"""Which rows of the prior a cell may be chosen by."""


@dataclass(frozen=True)
class Replay:
    """One cell raced again: `regret` in points; `off`, standard errors between expected and seen."""

    regret: float
    tried: bool
    off: float


def main() -> None:
    """Race all again and write the table."""
    cells, lines = by_cell(read_log(log_of(SPEC))), read_log(RACES)
    rows = [
        "| the choice knows | mean regret | worst cell | races held | expected accuracy, off by |",
        "|---|---:|---:|---:|---:|",
    ]
    for words, known in {"all cells": everything, "nothing of the data set": other_data}.items():
        found = [replay(line, cells, known) for line in lines]
        regrets = [each.regret for each in found]
        rows.append(
            f"| {words} | {mean(regrets):.1f} | {max(regrets):.1f} | {sum(each.tried for each in found)} of "
            f"{len(found)} | {stdev(each.off for each in found):.1f} standard errors |"
        )
    write_between(DOCUMENT, "hindsight", "\n\n".join([machine(), "\n".join(rows)]))


def everything(line: Line, rows: Rows) -> Rows:
    """All rows."""
    return rows


def other_data(line: Line, rows: Rows) -> Rows:
    """Of these the rows of other data sets."""
    return [row for row in everything(line, rows) if row["data"] != line["data"]]


def replay(line: Line, cells: Runs, known: Known) -> Replay:
    """Race a cell again, and see what its winner was worth in whole runs, on average over their draws."""
    ways = cells[cell_of(line)]
    race = race_again(line, known(line, read_rows()))
    came = mean_accuracy(ways[race.winner])
    expected = race.posterior.expected(race.winner)
    return Replay(best(ways) - came, race.rounds > 0, (came / 100 - expected.value) / expected.error)


def race_again(line: Line, rows: Rows) -> Race:
    """The race of the recorded short runs, by what these rows tell."""
    correct = {name: np.array(values) for name, values in line["correct"].items()}
    rounds = line["rounds"]

    def ask(name: str, number: int) -> Correct:
        answers = np.full(len(correct[name]), np.nan)
        answers[rounds[number]] = correct[name][rounds[number]]
        return answers

    return compete(
        fit_prior(rows, RACERS),
        {name: correct[name] for name in PROBES},
        ask,
        probes=PROBES,
        trained=TRAINED,
        rounds=[len(left) for left in rounds],
        chance=line["chance"],
    )


def cell_of(line: Line) -> Cell:
    return line["data"], line["images"]


if __name__ == "__main__":
    main()
