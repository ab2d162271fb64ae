"""Ways of the values from box to box: straight on, curved past boxes, or between and above the columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from zoo.describe.wording import shape_in_words
from zoo.picture.boxes import Box
from zoo.picture.geometry import GUTTER, ROW_GAP, TAP_STEP, TITLE_HEIGHT, Geometry
from zoo.picture.grid import ARRIVAL, Place

Point = tuple[float, float]

BULGE, BULGE_STEP, MOST_BULGE = 18.0, 3.0, 54.0
RADIUS = 10.0
MANY = 3  # sources of one box: the ways of more are drawn faint


@dataclass(frozen=True)
class Route:
    """The way of one value: corners (the picture rounds them), and the shape that it shows beside it."""

    kind: Literal["flow", "skip", "tap"]
    points: tuple[Point, ...]
    label: str = ""
    upright: bool = False  # the label stands along the last long way down or up
    faint: bool = False  # one of many


class Wires:
    """The wires of a picture: which curve past boxes, which leave their column, and how all of them go."""

    def __init__(self, boxes: Sequence[Box], places: Mapping[str, Place]) -> None:
        self.boxes = {box.id: box for box in boxes}
        self.places = places
        self.filled = {(place.column, place.lane, place.row) for place in places.values()}
        self.pairs = [(source, box.id) for box in boxes for source in box.sources]
        self.ends = {places[box.id].column: box.id for box in boxes}
        self.taps = list(
            dict.fromkeys(source for source, target in self.pairs if self.is_tap(source, target))
        )

    def arrives(self, source: str, target: str) -> bool:
        """Say whether a wire leads from the end of a column into the next."""
        one, two = self.places[source], self.places[target]
        return two.column == one.column + 1 and self.ends[one.column] == source

    def is_tap(self, source: str, target: str) -> bool:
        """Say whether a wire leads to a later column in any other way."""
        other = self.places[source].column != self.places[target].column
        return other and not self.arrives(source, target)

    def is_skip(self, source: str, target: str) -> bool:
        """Say whether a wire must curve past boxes of its own lane."""
        one, two = self._start(source, target), self.places[target]
        if one.column != two.column or one.lane != two.lane:
            return False
        return any((one.column, one.lane, row) in self.filled for row in range(one.row + 1, two.row))

    def _start(self, source: str, target: str) -> Place:
        """Give the place that a wire comes from, as the target's column sees it."""
        if self.arrives(source, target):
            return Place(self.places[target].column, 0, ARRIVAL)
        return self.places[source]

    def bulges(self) -> dict[str, float]:
        """Give the room that curves need left of each box."""
        room: dict[str, float] = {}
        for source, target in self.pairs:
            if self.is_skip(source, target):
                one, two = self._start(source, target), self.places[target]
                for box_id, place in self.places.items():
                    inside = place.column == one.column and place.lane == one.lane
                    if inside and one.row <= place.row <= two.row:
                        room[box_id] = max(room.get(box_id, 0.0), self._bulge(source, target))
        return room

    def routes(self, geometry: Geometry) -> Iterator[Route]:
        """Give the way of every wire."""
        told: set[str] = set()
        for source, target in self.pairs:
            label = "" if source in told else self._label(source, target)
            told.add(source)
            faint = len(self.boxes[target].sources) > MANY
            if self.is_tap(source, target):
                yield Route("tap", self._tap(source, target, geometry), faint=faint)
            elif self.is_skip(source, target):
                yield Route("skip", self._past(source, target, geometry), faint=faint)
            elif self.arrives(source, target):
                yield self._arrival(source, target, geometry, label)
            else:
                yield Route("flow", self._down(source, target, geometry), label)

    def _is_free(self, column: int, row: int, first: int, last: int) -> bool:
        """Say whether no box stands in a row from one lane up to before another."""
        return not any((column, lane, row) in self.filled for lane in range(first, last))

    def _bulge(self, source: str, target: str) -> float:
        span = self.places[target].row - self._start(source, target).row
        return min(BULGE + BULGE_STEP * max(0, span - 3), MOST_BULGE)

    def _label(self, source: str, target: str) -> str:
        """Give a shape where it is news: where its size changes, and from column to column."""
        box = self.boxes[source]
        before = [self.boxes[giver].output for giver in box.sources]
        same = all(shape[1:] == box.output[1:] for shape in before) and bool(before)
        return "" if same and not self.arrives(source, target) else shape_in_words(box.output)

    def _down(self, source: str, target: str, geometry: Geometry) -> tuple[Point, ...]:
        """Go down, and over to the target's lane: at once where that is further out, else at the end."""
        one, two = geometry.boxes[source], geometry.boxes[target]
        if abs(one.centre - two.centre) < 1:
            return ((one.centre, one.bottom), (two.centre, two.y))
        place, goal = self.places[source], self.places[target]
        if goal.lane < place.lane and self._is_free(goal.column, goal.row, goal.lane + 1, place.lane + 1):
            return ((one.centre, one.bottom), (one.centre, two.middle), (two.right, two.middle))
        out = goal.lane > place.lane
        turn = one.bottom + ROW_GAP / 2 if out else two.y - ROW_GAP / 2
        end = two.centre if out else two.centre + two.width / 4
        return ((one.centre, one.bottom), (one.centre, turn), (end, turn), (end, two.y))

    def _past(self, source: str, target: str, geometry: Geometry) -> tuple[Point, ...]:
        """Go round on the left."""
        one, two = geometry.boxes[source], geometry.boxes[target]
        place = self.places[target]
        lane = (place.column, place.lane)
        x = min(geometry.boxes[i].x for i, other in self.places.items() if (other.column, other.lane) == lane)
        x -= self._bulge(source, target)
        end = ((x, two.middle), (two.x, two.middle))
        if self.arrives(source, target):
            return ((x, _above(geometry, place.column)), *end)
        return ((one.x, one.middle), (x, one.middle), *end)

    def _arrival(self, source: str, target: str, geometry: Geometry, label: str) -> Route:
        """Come from the end of the column before, by the gutter; a second way starts from the first's end."""
        one, two = geometry.boxes[source], geometry.boxes[target]
        number = self.places[source].column
        column = geometry.columns[number]
        high = _above(geometry, number + 1)
        if self.places[target].lane > 0:
            first = next(i for i, place in self.places.items() if place == Place(number + 1, 0, 0))
            start = (geometry.boxes[first].centre, high)
            return Route("skip", (start, (two.centre, high), (two.centre, two.y)))
        gutter, low = geometry.columns[number + 1].x - GUTTER / 2, column.bottom + ROW_GAP / 2
        points = (
            (one.centre, one.bottom),
            (one.centre, low),
            (gutter, low),
            (gutter, high),
            (two.centre, high),
            (two.centre, two.y),
        )
        return Route("flow", points, label, upright=True)

    def _tap(self, source: str, target: str, geometry: Geometry) -> tuple[Point, ...]:
        """Leave by the gutter on the right, pass above the columns, come by the gutter on the left."""
        one, two = geometry.boxes[source], geometry.boxes[target]
        place, goal = self.places[source], self.places[target]
        way = TAP_STEP * (1 + self.taps.index(source))
        leave = geometry.columns[place.column].right + way
        arrive = geometry.columns[goal.column - 1].right + way
        start = [(one.right, one.middle)]
        if not self._is_free(place.column, place.row, place.lane + 1, len(self.places)):
            start = [(one.centre, one.bottom), (one.centre, one.bottom + ROW_GAP / 3)]
        end = [(two.x, two.middle)]
        if goal.lane > 0:
            end = [(two.centre, two.y - ROW_GAP / 2), (two.centre, two.y)]
        turn, last = start[-1][1], end[0][1]
        if goal.column == place.column + 1:
            return (*start, (leave, turn), (leave, last), *end)
        over = TITLE_HEIGHT + way
        return (*start, (leave, turn), (leave, over), (arrive, over), (arrive, last), *end)


def _above(geometry: Geometry, column: int) -> float:
    """Give the height at which values come into a column."""
    return geometry.columns[column].y - ROW_GAP / 2
