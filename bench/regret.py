"""How much a choice of strategy costs against the best one in hindsight."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import mean

from bench.document import spread
from bench.pool import Line
from finetune.planning.table import TABLE
from finetune.strategies import STRATEGIES

AUTO = "auto"
Cell = tuple[str, int | None]
"""A data set, and labelled images a class."""
Runs = Mapping[Cell, Mapping[str, list[Line]]]


def by_cell(lines: list[Line]) -> Runs:
    """The runs of each cell by what was run, in the order of draws; small cells of a data set first."""
    cells: dict[Cell, dict[str, list[Line]]] = {}
    places = {name: place for place, name in enumerate(dict.fromkeys(line["data"] for line in lines))}

    def order(line: Line) -> tuple[float, ...]:
        return places[line["data"]], line["images"] or math.inf, line["draw"]

    for line in sorted(lines, key=order):
        cells.setdefault((line["data"], line["images"]), {}).setdefault(line["way"], []).append(line)
    return cells


def accuracy(runs: list[Line]) -> float:
    """Mean test accuracy in %."""
    return 100 * mean(float(run["accuracy"]) for run in runs)


def best(ways: Mapping[str, list[Line]]) -> float:
    """Mean accuracy of the strategy that is best on average, in %."""
    return max(accuracy(runs) for name, runs in ways.items() if name in STRATEGIES)


def regret(ways: Mapping[str, list[Line]]) -> float:
    """Points that `auto` falls short of the best strategy of the cell, means over the draws."""
    return best(ways) - accuracy(ways[AUTO])


def regret_of(ways: Mapping[str, list[Line]], strategy: str) -> float:
    """Points that one strategy, always taken, falls short of the best."""
    return best(ways) - accuracy(ways[strategy])


def regret_of_table(ways: Mapping[str, list[Line]]) -> float:
    """Points that the bare table falls short, each draw by the cell that `auto` found it in."""
    found = [
        100 * float(ways[TABLE[tuple(run["cell"])]][draw]["accuracy"]) for draw, run in enumerate(ways[AUTO])
    ]
    return best(ways) - mean(found)


def cost(ways: Mapping[str, list[Line]]) -> tuple[float, float]:
    """Seconds of `auto`, and of running every strategy to its end, all draws together."""
    every = [run for name, runs in ways.items() if name in STRATEGIES for run in runs]
    return sum(float(run["seconds"]) for run in ways[AUTO]), sum(float(run["seconds"]) for run in every)


def tables(lines: list[Line]) -> Iterator[str]:
    """Markdown: accuracy and seconds of all that ran in each cell, the picks, and the sums."""
    ran = {str(line["way"]) for line in lines}
    names = [*(name for name in STRATEGIES if name in ran), AUTO]
    cells = {cell: ways for cell, ways in by_cell(lines).items() if complete(ways, names)}
    rows = [
        f"| images a class | {' | '.join(names)} | picks of auto | regret |",
        "|---|" + "---:|" * len(names) + "---|---:|",
    ]
    for (data, images), ways in cells.items():
        shown = (
            f"{spread([100 * run['accuracy'] for run in ways[name]])}, {seconds(ways[name])}"
            for name in names
        )
        picks = ", ".join(run["strategy"] for run in ways[AUTO])
        rows.append(f"| {data}, {images or 'all'} | {' | '.join(shown)} | {picks} | {regret(ways):.1f} |")
    yield "\n".join(rows)
    yield "\n".join(summary(cells, names[:-1]))


def summary(cells: Runs, strategies: Sequence[str]) -> Iterator[str]:
    """Regret on average and at worst, of `auto`, of the table and of each fixed strategy; and the cost."""
    yield "| choice | mean regret | worst cell |\n|---|---:|---:|"
    ways = cells.values()
    choices = {
        "auto": [regret(way) for way in ways],
        "the table alone": [regret_of_table(way) for way in ways],
    }
    choices |= {f"always {name}": [regret_of(way, name) for way in ways] for name in strategies}
    for name, values in choices.items():
        yield f"| {name} | {mean(values):.1f} | {max(values):.1f} |"
    own, every = (sum(part) for part in zip(*(cost(way) for way in ways), strict=True))
    yield f"\n`auto` took {own / every:.2f} of the time of all strategies ({own:.0f} s of {every:.0f} s)."
    steady = [len(picks(way)) == 1 for way in ways]
    close = [not same and overlapping(way[AUTO], picks(way)) for way, same in zip(ways, steady, strict=True)]
    yield (
        f"\nIn {sum(steady)} of {len(cells)} cells it picked the same in all draws; in {sum(close)} of the "
        "others the intervals of what was picked overlap in every draw."
    )


def picks(ways: Mapping[str, list[Line]]) -> set[str]:
    """What `auto` took, in any draw."""
    return {str(run["strategy"]) for run in ways[AUTO]}


def overlapping(runs: list[Line], names: set[str]) -> bool:
    """Whether in each run the expected accuracies of these strategies, give or take their errors, overlap."""
    for run in runs:
        expected = [score["expected"] for name, score in run["race"]["scores"].items() if name in names]
        if max(e["value"] - e["error"] for e in expected) > min(e["value"] + e["error"] for e in expected):
            return False
    return True


def complete(ways: Mapping[str, list[Line]], names: Sequence[str]) -> bool:
    """Whether all strategies and `auto` have run in as many draws."""
    return len({len(ways.get(name, [])) for name in names}) == 1


def seconds(runs: list[Line]) -> str:
    """`12 s`."""
    return f"{mean(float(run['seconds']) for run in runs):.0f} s"
