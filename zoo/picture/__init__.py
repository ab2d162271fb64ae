"""Pictures of networks: boxes by kind of layer, frames around blocks, curves where values skip layers."""

from __future__ import annotations

from zoo.describe.description import Description
from zoo.picture.boxes import boxes_of
from zoo.picture.columns import columns_of
from zoo.picture.geometry import geometry_of
from zoo.picture.grid import Place, grid_of
from zoo.picture.routes import Wires
from zoo.picture.svg import svg_of

__all__ = ["draw"]


def draw(description: Description) -> str:
    """Draw a network as SVG, for one page: layer by layer, or block by block where it has too many layers."""
    boxes = boxes_of(description)
    columns = columns_of(boxes)
    places: dict[str, Place] = {}
    arriving = None
    for number, column in enumerate(columns):
        places |= grid_of(column, number, arriving)
        arriving = column[-1].id
    wires = Wires(boxes, places)
    geometry = geometry_of(columns, places, wires.bulges(), wires.taps)
    return svg_of(description, columns, geometry, list(wires.routes(geometry)))
