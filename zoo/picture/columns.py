"""Cut a network into columns: stages are kept whole where they can be, and short ones share a column."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from zoo.picture.boxes import Box

ROOM = 1.3  # how far above the average a column may grow
STAY_TOGETHER = 5  # boxes that a cut may be off its place to spare a block


def columns_of(boxes: Sequence[Box], stages: Sequence[str], count: int) -> list[list[Box]]:
    """Give the boxes in about `count` columns, in the order of execution."""
    most = max(1.0, ROOM * len(boxes) / count)
    columns: list[list[Box]] = [[]]
    for stage in _stages(boxes, stages):
        for piece in _pieces(stage, most):
            if columns[-1] and len(columns[-1]) + len(piece) > most:
                columns.append([])
            columns[-1] += piece
    return columns


def _stages(boxes: Sequence[Box], stages: Sequence[str]) -> Iterator[list[Box]]:
    """Give each stage's boxes; the image goes with the first, what is of no stage with the one before."""
    current: list[Box] = []
    part = ""
    for box in boxes:
        if box.part in stages and box.part != part:
            if part:
                yield current
                current = []
            part = box.part
        current.append(box)
    yield current


def _pieces(boxes: list[Box], most: float) -> Iterator[list[Box]]:
    """Cut a stage that is too long into parts of about one length, between blocks."""
    count = math.ceil(len(boxes) / most)
    start = 0
    for number in range(1, count):
        ideal = len(boxes) * number / count
        places = range(start + 1, len(boxes) - (count - number) + 1)
        cut = min(places, key=lambda i: abs(i - ideal) + STAY_TOGETHER * _shared(boxes[i - 1], boxes[i]))
        yield boxes[start:cut]
        start = cut
    yield boxes[start:]


def _shared(box: Box, other: Box) -> int:
    """Give how many modules hold both boxes."""
    pairs = zip(box.path.split("."), other.path.split("."), strict=False)
    return next((i for i, (one, two) in enumerate(pairs) if one != two), 0)
