"""Put a column's boxes on a grid: a row after what it takes, branches side by side in lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.picture.boxes import Box


@dataclass(frozen=True)
class Place:
    """Where a box stands: column and row from the top left, lane within the column."""

    column: int
    lane: int
    row: int


ARRIVAL = -1  # the row of the value that comes from the end of the column before


def grid_of(boxes: Sequence[Box], column: int, arriving: str | None) -> dict[str, Place]:
    """Give the place of every box of a column. Boxes come in the order of execution.

    `arriving` is the box whose value the column begins with.
    """
    takers = _takers(boxes)
    chains = _chains(boxes)
    rows = _rows(boxes, chains, takers, arriving)
    lanes = _lanes(boxes, chains, rows, takers)
    return {
        box.id: Place(column, lanes[number], rows[box.id])
        for number, chain in enumerate(chains)
        for box in chain
    }


def _takers(boxes: Sequence[Box]) -> dict[str, list[str]]:
    takers: dict[str, list[str]] = {box.id: [] for box in boxes}
    for box in boxes:
        for source in box.sources:
            if source in takers:
                takers[source].append(box.id)
    return takers


def _chains(boxes: Sequence[Box]) -> list[list[Box]]:
    """Give runs of boxes of which each takes the one before: the first run is the column's spine."""
    chains: list[list[Box]] = []
    for box in boxes:
        chain = next((chain for chain in chains if chain[-1].id in box.sources), None)
        if chain is None:
            chains.append([box])
        else:
            chain.append(box)
    return chains


def _rows(
    boxes: Sequence[Box],
    chains: Sequence[Sequence[Box]],
    takers: Mapping[str, Sequence[str]],
    arriving: str | None,
) -> dict[str, int]:
    """Put each box below all that it takes; a branch stands as low as what takes it lets it."""
    rows = {} if arriving is None else {arriving: ARRIVAL}
    for box in boxes:
        rows[box.id] = 1 + max((rows[source] for source in box.sources if source in rows), default=ARRIVAL)
    branches = {box.id for chain in chains[1:] for box in chain}
    for box in reversed(boxes):
        if box.id in branches and takers[box.id]:
            rows[box.id] = min(rows[taker] for taker in takers[box.id]) - 1
    return rows


def _lanes(
    boxes: Sequence[Box],
    chains: Sequence[Sequence[Box]],
    rows: Mapping[str, int],
    takers: Mapping[str, Sequence[str]],
) -> list[int]:
    """Give each chain the first lane that is free from where its first value is made to its end."""
    taken: list[list[tuple[int, int]]] = []
    lanes = []
    for chain in chains:
        made = [rows[source] + 1 for source in chain[0].sources if source in rows]
        used = [rows[taker] - 1 for taker in takers[chain[-1].id]]
        span = (min([rows[chain[0].id], *made]), max([rows[chain[-1].id], *used]))
        lane = next((i for i, spans in enumerate(taken) if not _meets(span, spans)), len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append(span)
        lanes.append(lane)
    return lanes


def _meets(span: tuple[int, int], others: Sequence[tuple[int, int]]) -> bool:
    return any(span[0] <= last and first <= span[1] for first, last in others)
