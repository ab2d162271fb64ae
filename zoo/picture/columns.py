"""Cut a network into columns: stages are kept whole where they can be, and short ones share a column."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from zoo.picture.boxes import Box

WIDE_TO_HIGH = 1.5  # of the page
COLUMN_TO_ROW = 7.0  # a column's width in heights of a row
ROOM = 1.3  # how far above the average a column may grow
STAY_TOGETHER = 2  # rows that a cut may be off its place to spare a block


def columns_of(boxes: Sequence[Box]) -> list[list[Box]]:
    """Give the boxes column by column, in the order of execution."""
    count = max(1, round(math.sqrt(WIDE_TO_HIGH * len(boxes) / COLUMN_TO_ROW)))
    most = ROOM * len(boxes) / count
    columns: list[list[Box]] = [[]]
    for stage in _stages(boxes):
        for piece in _pieces(stage, most):
            if columns[-1] and len(columns[-1]) + len(piece) > most:
                columns.append([])
            columns[-1] += piece
    return columns


def _stages(boxes: Sequence[Box]) -> Iterator[list[Box]]:
    """Give each stage's boxes, with those of no stage that follow it."""
    current: list[Box] = []
    part = ""
    for box in boxes:
        if box.part and box.part != part and current:
            yield current
            current = []
        part = box.part or part
        current.append(box)
    yield current


def _pieces(boxes: list[Box], most: float) -> Iterator[list[Box]]:
    """Cut a stage that is too long into parts of about one length, between blocks."""
    count = math.ceil(len(boxes) / most)
    start = 0
    for number in range(1, count):
        ideal = len(boxes) * number / count
        places = range(start + 1, len(boxes))
        cut = min(places, key=lambda i: abs(i - ideal) + STAY_TOGETHER * _shared(boxes[i - 1], boxes[i]))
        yield boxes[start:cut]
        start = cut
    yield boxes[start:]


def _shared(box: Box, other: Box) -> int:
    """Give how many modules hold both boxes."""
    pairs = zip(box.path.split("."), other.path.split("."), strict=False)
    return next((i for i, (one, two) in enumerate(pairs) if one != two), 0)
