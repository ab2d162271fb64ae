"""`make bench-hindsight`: how the choice does where its prior holds nothing of the data set or the network.

The short runs that `make bench-prior` recorded are raced again, with the whole prior and with parts of it,
and chosen from without a prior, by successive halving. Nothing is trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev

import numpy as np

from bench.document import machine, write_between
from bench.pool import Line, read_log
from bench.prior import RACERS, SPECS, all_rows, name_of, races_of
from bench.regret import Cell, Runs, best, by_cell
from bench.regret import accuracy as mean_accuracy
from bench.strategy import DOCUMENT, log_of
from finetune.planning.race.prior import Row, choose_rows, fit_prior, read_rows
from finetune.planning.race.race import Race, compete
from finetune.records.estimate import Correct
from finetune.strategies import find_strategy

PROBES = tuple(name for name in RACERS if find_strategy(name).probe)
TRAINED = tuple(name for name in RACERS if name not in PROBES)
LEAST = 3
"""Rows of which a prior can be made."""
Rows = Sequence[Row]
Known = Callable[[Line, Rows], Rows]
"""Which rows of the prior a cell may be chosen by."""


@dataclass(frozen=True)
class Replay:
    """One cell chosen again.

    `regret` in points; `trials`, how many short runs were needed; `off`, standard errors between the accuracy
    that was expected and the one that came, None without expectations.
    """

    regret: float
    trials: int
    off: float | None = None


def main() -> None:
    """Choose in all cells again and write the table."""
    cells = {name_of(spec): by_cell(read_log(log_of(spec))) for spec in SPECS}
    rows = all_rows()
    known = {(row["network"], row["data"], row["images"]) for row in rows}
    lines = [{"network": name_of(spec)} | line for spec in SPECS for line in read_log(races_of(spec))]
    lines = [line for line in lines if (line["network"], line["data"], str(line["images"])) in known]
    networks = list(dict.fromkeys(row["network"] for row in rows))
    table = [
        f"| the choice | mean regret | {' | '.join(networks)} | worst cell | short runs a cell |"
        " expected accuracy, off by |",
        "|---|" + "---:|" * (len(networks) + 4),
    ]
    for words, choose in choices(rows).items():
        found = [(line["network"], choose(line, cells[line["network"]])) for line in lines]
        regrets = [mean(each.regret for name, each in found if name == network) for network in networks]
        off = [each.off for _, each in found if each.off is not None]
        table.append(
            f"| {words} | {mean(each.regret for _, each in found):.1f} |"
            f" {' | '.join(f'{regret:.1f}' for regret in regrets)} | {max(e.regret for _, e in found):.1f} |"
            f" {mean(each.trials for _, each in found):.1f} |"
            f" {f'{stdev(off):.1f} standard errors' if off else '—'} |"
        )
    counts = ", ".join(f"{sum(row['network'] == name for row in rows)} of {name}" for name in networks)
    write_between(DOCUMENT, "hindsight", "\n\n".join([machine(), "\n".join(table), f"Cells: {counts}."]))


def choices(rows: Rows) -> dict[str, Callable[[Line, Runs], Replay]]:
    """Return the ways to choose that are compared; `rows` are those of the recorded runs."""

    def race(known: Known) -> Callable[[Line, Runs], Replay]:
        return lambda line, runs: replay(line, runs, known(line, rows))

    def always(name: str) -> Callable[[Line, Runs], Replay]:
        return lambda line, runs: take(name, runs[cell_of(line)], trials=0)

    return {
        "race, the prior of Graft": lambda line, runs: replay(line, runs, read_rows()),
        **{f"race, a prior from {words}": race(known) for words, known in KNOWLEDGE.items()},
        "successive halving, without a prior": halve,
        **{f"always {name}": always(name) for name in RACERS},
    }


def everything(line: Line, rows: Rows) -> Rows:
    """All rows."""
    return rows


def other_data(line: Line, rows: Rows) -> Rows:
    """Of these the rows of other data sets."""
    return [row for row in rows if row["data"] != line["data"]]


def other_networks(line: Line, rows: Rows) -> Rows:
    """Of these the rows of other networks."""
    return [row for row in rows if row["network"] != line["network"]]


def other_both(line: Line, rows: Rows) -> Rows:
    """Of these the rows of other networks on other data sets."""
    return other_data(line, other_networks(line, rows))


KNOWLEDGE: dict[str, Known] = {
    "these runs": everything,
    "those on other data sets": other_data,
    "those of other networks": other_networks,
    "those of other networks on other data sets": other_both,
}


def replay(line: Line, cells: Runs, rows: Rows) -> Replay:
    """Race a cell again by these rows, and see what its winner was worth in whole runs."""
    race = race_again(line, rows)
    expected = race.posterior.expected(race.winner)
    trials = sum(
        bool(np.isfinite(race.answers[name][asked]).any())
        for name in TRAINED
        if name in race.answers
        for asked in line["rounds"]
    )
    found = take(race.winner, cells[cell_of(line)], trials)
    came = mean_accuracy(cells[cell_of(line)][race.winner]) / 100
    return replace(found, off=(came - expected.value) / expected.error)


def take(name: str, ways: Mapping[str, list[Line]], trials: int) -> Replay:
    """Return what a strategy was worth in its whole runs."""
    return Replay(best(ways) - mean_accuracy(ways[name]), trials)


def halve(line: Line, cells: Runs) -> Replay:
    """Choose by held-out accuracy alone: of those still in, each round asks all and keeps the better half."""
    correct = {name: np.array(values) for name, values in line["correct"].items()}
    left, seen, trials = list(RACERS), [], 0
    for asked in line["rounds"]:
        seen += asked
        trials += sum(name in TRAINED for name in left)
        shares = {
            name: float(np.nanmean(correct[name][seen if name in TRAINED else slice(None)])) for name in left
        }
        kept = sorted(left, key=lambda name: -shares[name])[: math.ceil(len(left) / 2)]
        left = [name for name in left if name in kept]
        if len(left) == 1:
            break
    winner = max(left, key=lambda name: shares[name])
    return take(winner, cells[cell_of(line)], trials)


def race_again(line: Line, rows: Rows) -> Race:
    """The race of the recorded short runs, by those of the rows that suit its images, if three do."""
    suitable = choose_rows(rows, line["drift"], median_class=line["images"] or math.inf)
    correct = {name: np.array(values) for name, values in line["correct"].items()}
    rounds = line["rounds"]

    def ask(name: str, number: int) -> Correct:
        answers = np.full(len(correct[name]), np.nan)
        answers[rounds[number]] = correct[name][rounds[number]]
        return answers

    return compete(
        fit_prior(suitable if len(suitable) >= LEAST else rows, RACERS),
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
