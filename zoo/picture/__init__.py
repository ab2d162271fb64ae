"""Pictures of networks: boxes by kind of layer, frames around blocks, curves where values skip layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.describe.description import Description
from zoo.errors import GraftError
from zoo.picture.boxes import Box, boxes_of
from zoo.picture.columns import columns_of
from zoo.picture.geometry import Geometry, geometry_of
from zoo.picture.grid import Place, grid_of
from zoo.picture.routes import Wires
from zoo.picture.svg import svg_of

__all__ = ["draw", "lay_out", "write_picture"]

MOST_COLUMNS = 12
WIDE_TO_HIGH = 1.5  # of the page that pictures are made to fit


@dataclass(frozen=True)
class Layout:
    """A network's boxes by columns, where they stand, and what leads from one to the other."""

    columns: list[list[Box]]
    geometry: Geometry
    wires: Wires

    @property
    def size(self) -> float:
        """The height, in pixels, of the smallest page that holds it."""
        outlines = self.geometry.columns
        width, height = max(rect.right for rect in outlines), max(rect.bottom for rect in outlines)
        return max(width / WIDE_TO_HIGH, height)


def draw(description: Description) -> str:
    """Draw a network as SVG, for one page: layer by layer, or block by block where it has too many layers."""
    layout = lay_out(description)
    return svg_of(description, layout.columns, layout.geometry, list(layout.wires.routes(layout.geometry)))


def write_picture(svg: str, path: Path) -> None:
    """Write a picture. Raises GraftError where that cannot be."""
    try:
        path.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise GraftError(f"{path}: the picture cannot be written: {error.strerror}") from error


def lay_out(description: Description) -> Layout:
    """Lay a network out in as many columns as let it fit the smallest page."""
    boxes = boxes_of(description)
    counts = range(1, min(MOST_COLUMNS, len(boxes)) + 1)
    return min(
        (_in_columns(boxes, description.stages, count) for count in counts), key=lambda layout: layout.size
    )


def _in_columns(boxes: Sequence[Box], stages: Sequence[str], count: int) -> Layout:
    columns = columns_of(boxes, stages, count)
    places: dict[str, Place] = {}
    arriving = None
    for number, column in enumerate(columns):
        places |= grid_of(column, number, arriving)
        arriving = column[-1].id
    wires = Wires(boxes, places)
    return Layout(columns, geometry_of(columns, places, wires.bulges(), wires.taps), wires)
