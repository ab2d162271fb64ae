"""Draw a laid out network as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from zoo.describe.description import Description
from zoo.describe.wording import scaled, shape_in_words
from zoo.picture.boxes import Box, short_name
from zoo.picture.geometry import MARGIN, Frame, Geometry, Rect
from zoo.picture.routes import RADIUS, Point, Route

COLOURS = {  # fill and outline
    "image": ("#ffffff", "#333333"),
    "convolution": ("#d3e4fb", "#4878b8"),
    "linear": ("#fbd9d5", "#c0564b"),
    "norm": ("#fdf0c8", "#b8962e"),
    "activation": ("#daf0d9", "#5a9a58"),
    "pool": ("#ecdcf4", "#8d63a8"),
    "drop": ("#eeeeee", "#8a8a8a"),
    "join": ("#ffffff", "#333333"),
    "shape": ("#e3e6ea", "#7a8591"),
    "block": ("#dcecf5", "#3f7f9f"),
    "other": ("#f4ece3", "#9a7f60"),
}
WAYS = {"flow": ("#555555", 1.3, ""), "skip": ("#c2571a", 1.6, ""), "tap": ("#7b3fa0", 1.3, "5 3")}
STYLE = """text{font-family:Helvetica,Arial,'Liberation Sans',sans-serif;fill:#222}
.name{font-size:11.5px;font-weight:bold}.words{font-size:10px}.shape{font-size:9.5px;fill:#666}
.frame{font-size:10.5px;font-weight:bold;fill:#667}.title{font-size:18px;font-weight:bold}.facts{font-size:12px;fill:#444}"""
LEGEND_GAP, LEGEND_CHARACTER = 38.0, 5.5
MEANINGS = {"skip": "past layers", "tap": "to a later part"}


def svg_of(
    description: Description, columns: Sequence[Sequence[Box]], geometry: Geometry, routes: Sequence[Route]
) -> str:
    """Give the whole picture; what a box stands for shows when the mouse rests on it."""
    families = list(dict.fromkeys(box.family for boxes in columns for box in boxes if box.family != "image"))
    ways = [kind for kind in MEANINGS if any(route.kind == kind for route in routes)]
    legend = sum(LEGEND_GAP + LEGEND_CHARACTER * len(name) for name in (*families, *ways, "to a later part"))
    width = max(*(column.right for column in geometry.columns), legend) + 2 * MARGIN
    bottom = max(column.bottom for column in geometry.columns) + MARGIN
    height = bottom + MARGIN + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{escape(description.spec.name)}</title><style>{STYLE}</style>",
        *_markers(),
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *_heading(description),
        *(_frame(frame) for frame in geometry.frames),
        *(_way(route) for route in routes),
        *(_box(box, geometry.boxes[box.id], description.head) for boxes in columns for box in boxes),
        *(_label(route) for route in routes if route.label),
        *_legend(families, ways, bottom),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _heading(description: Description) -> Iterator[str]:
    spec = description.spec
    facts = (
        f"input {shape_in_words((spec.input.channels, spec.input.height, spec.input.width))}, "
        f"{spec.classes:,} classes, {description.params:,} parameters, "
        f"{scaled(description.macs)} multiply-adds"
    )
    yield f'<text class="title" x="{MARGIN}" y="{MARGIN + 8}">{escape(spec.name)}</text>'
    yield f'<text class="facts" x="{MARGIN}" y="{MARGIN + 28}">{escape(facts)}</text>'


def _frame(frame: Frame) -> str:
    rect, fill = frame.rect, "#f6f7f9" if frame.depth == 0 else "#ffffff"
    return (
        f'<rect {_at(rect)} rx="7" fill="{fill}" stroke="#c3c8d0"/>'
        f'<text class="frame" x="{rect.right - 6:.1f}" y="{rect.y + 12:.1f}" text-anchor="end">'
        f"{escape(short_name(frame.path))}</text>"
    )


def _box(box: Box, rect: Rect, head: str) -> str:
    fill, line = COLOURS[box.family]
    radius = rect.height / 2 if box.family in ("join", "image") else 4
    dashes = ' stroke-dasharray="4 2"' if box.family == "drop" else ""
    thick = ' stroke-width="3"' if box.path == head else ""
    y = rect.middle + 4
    shape = f'<rect {_at(rect)} rx="{radius}" fill="{fill}" stroke="{line}"{thick}{dashes}/>'
    hint = f"<title>{escape(f'{box.path or box.name}: {box.words} {shape_in_words(box.output)}')}</title>"
    if box.family == "join" or not box.words:
        centred = f'x="{rect.centre:.1f}" y="{y:.1f}" text-anchor="middle"'
        name = f'<text class="name" {centred}>{escape(box.name)}</text>'
        return f"<g>{hint}{shape}{name}</g>"
    name = f'<text class="name" x="{rect.x + 8:.1f}" y="{y:.1f}">{escape(box.name)}</text>'
    end = rect.right - 8
    words = f'<text class="words" x="{end:.1f}" y="{y:.1f}" text-anchor="end">{escape(box.words)}</text>'
    return f"<g>{hint}{shape}{name}{words}</g>"


def _way(route: Route) -> str:
    colour, width, dashes = WAYS[route.kind]
    radius = RADIUS * 2 if route.kind == "skip" else RADIUS
    faint = ' stroke-opacity="0.35"' if route.faint else ""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<path d="{_rounded(route.points, radius)}" fill="none" stroke="{colour}" stroke-width="{width}"'
        f'{dashed}{faint} marker-end="url(#{route.kind})"/>'
    )


def _rounded(points: Sequence[Point], radius: float) -> str:
    """Give the path through points, its corners rounded as far as its straights allow."""
    path = [f"M{_xy(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        reach = min(radius, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        start, end = _towards(corner, before, reach), _towards(corner, after, reach)
        path.append(f"L{_xy(start)}Q{_xy(corner)} {_xy(end)}")
    path.append(f"L{_xy(points[-1])}")
    return "".join(path)


def _xy(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def _towards(start: Point, end: Point, reach: float) -> Point:
    length = math.dist(start, end) or 1.0
    return (start[0] + (end[0] - start[0]) * reach / length, start[1] + (end[1] - start[1]) * reach / length)


def _label(route: Route) -> str:
    if route.upright:
        (x, low), (_, high) = route.points[2:4]
        y = (low + high) / 2
        x += 11
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="middle" transform="rotate(-90 {x:.1f} {y:.1f})"'
    else:
        x, y = route.points[0]
        place = f'x="{x - 6:.1f}" y="{y + 10:.1f}" text-anchor="end"'
    return f'<text class="shape" {place}>{route.label}</text>'


def _legend(families: Sequence[str], ways: Sequence[str], y: float) -> Iterator[str]:
    x = MARGIN
    for family in families:
        fill, line = COLOURS[family]
        yield f'<rect x="{x}" y="{y}" width="16" height="12" rx="3" fill="{fill}" stroke="{line}"/>'
        yield f'<text class="words" x="{x + 21}" y="{y + 10}">{family}</text>'
        x += LEGEND_GAP + LEGEND_CHARACTER * len(family)
    for kind in ways:
        colour, width, dashes = WAYS[kind]
        line = f'stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}"'
        yield f'<path d="M{x} {y + 6}h16" {line}/>'
        yield f'<text class="words" x="{x + 21}" y="{y + 10}">{MEANINGS[kind]}</text>'
        x += LEGEND_GAP + LEGEND_CHARACTER * len(MEANINGS[kind])
    yield f'<rect x="{x}" y="{y}" width="16" height="12" rx="3" fill="none" stroke="#333" stroke-width="3"/>'
    yield f'<text class="words" x="{x + 21}" y="{y + 10}">head</text>'


def _markers() -> Iterator[str]:
    for kind, (colour, _, _) in WAYS.items():
        yield (
            f'<marker id="{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
            f'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
        )


def _at(rect: Rect) -> str:
    return f'x="{rect.x:.1f}" y="{rect.y:.1f}" width="{rect.width:.1f}" height="{rect.height:.1f}"'
