"""From the grid to pixels: where boxes and the frames around blocks stand on the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.picture.boxes import Box
from zoo.picture.grid import Place

BOX_HEIGHT = 22.0
ROW_GAP = 15.0
LANE_GAP = 22.0
GUTTER = 40.0  # between columns, without the ways of taps
TAP_STEP = 7.0  # between the ways of two taps
FRAME_TOP = 17.0  # room for a frame's name
FRAME_PAD = 8.0
MARGIN = 24.0
TITLE_HEIGHT = 66.0
NAME_CHARACTER = 6.6  # width of an average character in pixels
WORDS_CHARACTER = 5.5
NARROWEST, NARROWEST_JOIN = 84.0, 30.0
MOST_FRAMES = 2  # one within the other
WHOLE_NETWORK = 0.6  # a group that holds more of the boxes than this is not framed


@dataclass(frozen=True)
class Rect:
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def centre(self) -> float:
        return self.x + self.width / 2

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True)
class Frame:
    """The outline of a module around its boxes in one column; the outermost has depth 0."""

    path: str
    rect: Rect
    depth: int


@dataclass(frozen=True)
class Geometry:
    """Rectangles of the boxes by id, the frames, and each column's outline."""

    boxes: Mapping[str, Rect]
    frames: tuple[Frame, ...]
    columns: tuple[Rect, ...]


Group = tuple[str, int, frozenset[str]]  # a module to frame: path, depth, the ids of its boxes


def geometry_of(
    columns: Sequence[Sequence[Box]],
    places: Mapping[str, Place],
    bulges: Mapping[str, float],
    taps: Sequence[str],
) -> Geometry:
    """Lay columns out from left to right.

    `bulges` is the room left of a box that curves past it need; `taps` are the boxes whose values leave
    their columns, each with a way of its own above the columns and between them.
    """
    top = TITLE_HEIGHT + MARGIN + TAP_STEP * len(taps)
    wholes = _wholes(columns)
    rects: dict[str, Rect] = {}
    frames: list[Frame] = []
    outlines: list[Rect] = []
    x = MARGIN
    for boxes in columns:
        groups = _groups(boxes, wholes)
        column = _column(boxes, places, groups, top)
        own = _frames(column, groups, bulges)
        left = min([r.x - bulges.get(i, 0) for i, r in column.items()] + [f.rect.x for f in own])
        moved = {box_id: _shifted(rect, x - left) for box_id, rect in column.items()}
        own = [Frame(f.path, _shifted(f.rect, x - left), f.depth) for f in own]
        outline = _around([*moved.values(), *(f.rect for f in own)])
        outlines.append(outline)
        rects |= moved
        frames += own
        x = outline.right + GUTTER + TAP_STEP * len(taps)
    return Geometry(rects, tuple(frames), tuple(outlines))


def _wholes(columns: Sequence[Sequence[Box]]) -> frozenset[str]:
    """Give the modules that hold most of the network."""
    prefixes = Counter(prefix for boxes in columns for box in boxes for prefix in _prefixes(box.path))
    total = sum(map(len, columns))
    return frozenset(path for path, count in prefixes.items() if count > WHOLE_NETWORK * total)


def _groups(boxes: Sequence[Box], wholes: frozenset[str]) -> list[Group]:
    """Give the modules to frame, the outer before the inner."""
    found: dict[frozenset[str], str] = {}
    for path in dict.fromkeys(prefix for box in boxes for prefix in _prefixes(box.path)):
        inside = frozenset(box.id for box in boxes if path in _prefixes(box.path))
        if len(inside) > 1 and path not in wholes:
            found.setdefault(inside, path)  # of groups that hold the same boxes, the outermost
    groups: list[Group] = []
    for inside, path in sorted(found.items(), key=lambda item: -len(item[0])):
        depth = len([path for path, _, around in groups if inside < around])
        if depth < MOST_FRAMES:
            groups.append((path, depth, inside))
    return groups


def _prefixes(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _column(
    boxes: Sequence[Box],
    places: Mapping[str, Place],
    groups: Sequence[Group],
    top: float,
) -> dict[str, Rect]:
    """Give the boxes' rectangles, the first lane's centre at x = 0."""
    tops, bottoms = _room_for_frames(boxes, places, groups)
    y, ys = top, {}
    for row in range(1 + max(places[box.id].row for box in boxes)):
        y += tops.get(row, 0) * FRAME_TOP
        ys[row] = y
        y += BOX_HEIGHT + ROW_GAP + bottoms.get(row, 0) * FRAME_PAD
    widths = {box.id: _width(box) for box in boxes}
    lanes: dict[int, float] = {}
    for box in boxes:
        lane = places[box.id].lane
        lanes[lane] = max(lanes.get(lane, 0.0), widths[box.id])
    centres, x = {}, -lanes.get(0, 0.0) / 2
    for lane in sorted(lanes):
        centres[lane] = x + lanes[lane] / 2
        x += lanes[lane] + LANE_GAP
    rects = {}
    for box in boxes:
        place = places[box.id]
        width = widths[box.id] if box.family == "join" else lanes[place.lane]
        rects[box.id] = Rect(centres[place.lane] - width / 2, ys[place.row], width, BOX_HEIGHT)
    return rects


def _room_for_frames(
    boxes: Sequence[Box], places: Mapping[str, Place], groups: Sequence[Group]
) -> tuple[dict[int, int], dict[int, int]]:
    """Give how many frames begin above each row, and how many end below it."""
    tops: dict[int, int] = {}
    bottoms: dict[int, int] = {}
    for box in boxes:
        row = places[box.id].row
        around = [[places[box_id].row for box_id in inside] for _, _, inside in groups if box.id in inside]
        tops[row] = max(tops.get(row, 0), sum(min(rows) == row for rows in around))
        bottoms[row] = max(bottoms.get(row, 0), sum(max(rows) == row for rows in around))
    return tops, bottoms


def _frames(
    rects: Mapping[str, Rect],
    groups: Sequence[Group],
    bulges: Mapping[str, float],
) -> list[Frame]:
    """Give the frames, each around its boxes, the curves past them and the frames within."""
    frames: list[tuple[frozenset[str], Frame]] = []
    for path, depth, inside in reversed(groups):
        within = [frame.rect for ids, frame in frames if ids < inside]
        curves = [Rect(rects[i].x - bulges.get(i, 0.0), rects[i].y, 1, 1) for i in inside]
        inner = _around([*(rects[box_id] for box_id in inside), *within, *curves])
        outline = Rect(
            inner.x - FRAME_PAD,
            inner.y - FRAME_TOP,
            inner.width + 2 * FRAME_PAD,
            inner.height + FRAME_TOP + FRAME_PAD,
        )
        frames.append((inside, Frame(path, outline, depth)))
    return [frame for _, frame in reversed(frames)]


def _width(box: Box) -> float:
    if box.family == "join":
        return max(NARROWEST_JOIN, len(box.name) * NAME_CHARACTER + 16)
    return max(NARROWEST, len(box.name) * NAME_CHARACTER + len(box.words) * WORDS_CHARACTER + 26)


def _around(rects: Sequence[Rect]) -> Rect:
    x, y = min(rect.x for rect in rects), min(rect.y for rect in rects)
    right, bottom = max(rect.right for rect in rects), max(rect.bottom for rect in rects)
    return Rect(x, y, right - x, bottom - y)


def _shifted(rect: Rect, by: float) -> Rect:
    return Rect(rect.x + by, rect.y, rect.width, rect.height)
