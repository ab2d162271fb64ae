"""What a picture of a network shows: a box a layer, or a box a block where the layers would be too many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from zoo.describe.description import IMAGE, Description, LayerRow
from zoo.describe.family import Family
from zoo.layers.shape import Shape

MOST_BOXES = 125
MOST_TOLD = 4  # layers named in the box of a block
SHOWN_SETTINGS = ("/", "dilation", "depthwise", "p ", "size", "to ")
BRIEF = {"add": "+", "multiply": "*"}


@dataclass(frozen=True)
class Box:
    """One box: `path` is the module it stands for, `sources` the ids of the boxes whose values it takes."""

    id: str
    path: str
    name: str
    words: str
    family: Family | Literal["image", "block"]
    output: Shape
    part: str
    sources: tuple[str, ...]


def boxes_of(description: Description) -> tuple[Box, ...]:
    """Give the boxes in the order of execution, the image first."""
    size = description.spec.input
    image = Box(IMAGE, "", "image", "", "image", (size.channels, size.height, size.width), "", ())
    rows = [row for row in description.layers if row.output and not row.idle]
    givers = _givers(description.layers)
    depth = max((len(row.path.split(".")) for row in rows), default=1)
    while depth > 1 and sum(1 for _ in _blocks(rows, depth)) > MOST_BOXES:
        depth -= 1
    drawn: dict[str, str] = {IMAGE: IMAGE}  # the box of every row
    boxes = [image]
    for path, block in _blocks(rows, depth):
        box_id = block[0].id if len(block) == 1 else f"{path}@{len(boxes)}"
        drawn |= {row.id: box_id for row in block}
        taken = dict.fromkeys(drawn[givers.get(source, source)] for row in block for source in row.sources)
        sources = tuple(source for source in taken if source != box_id)
        boxes.append(_box(box_id, path, block, sources))
    return tuple(boxes)


def _box(box_id: str, path: str, block: Sequence[LayerRow], sources: tuple[str, ...]) -> Box:
    last = block[-1]
    if len(block) > 1:
        return Box(box_id, path, short_name(path), _content(block), "block", last.output, last.part, sources)
    words = _settings(last)
    family = last.family if last.family != "join" or len(sources) > 1 else "shape"
    name = BRIEF.get(last.kind, last.kind) if family == "join" else short_name(path)
    return Box(box_id, path, name, words, family, last.output, last.part, sources)


def short_name(path: str) -> str:
    """Give the last part of a path; of a numbered one, the part before it too."""
    parts = path.split(".")
    start = next((i for i in range(len(parts) - 1, -1, -1) if not parts[i].isdigit()), 0)
    return ".".join(parts[start:])


def _settings(row: LayerRow) -> str:
    """Give a layer's kind with what shows in a picture of it: `conv 3x3, 64, /2`."""
    if row.family == "linear":
        return f"{row.kind} {row.output[-1]:,}"
    brief = (word.replace("stride ", "/") for word in row.arguments)
    kept = [word for word in brief if word.startswith(SHOWN_SETTINGS)]
    if row.family == "convolution":
        kept = [row.arguments[0], str(row.output[0]), *kept]
    elif row.family == "pool" and kept[:1] != list(row.arguments[:1]):
        kept = [row.arguments[0], *kept]
    return " ".join(part for part in (row.kind, ", ".join(kept)) if part)


def _content(block: Sequence[LayerRow]) -> str:
    """Give the first layers of a block that have weight: `conv 1x1 64, 3x3 64, … 12 more, +`."""
    weighty = [row for row in block if row.macs] or list(block)
    told = []
    for kind, same in groupby(weighty[:MOST_TOLD], key=lambda row: row.kind):
        sizes = [f"{row.arguments[0]} {row.output[0]}" for row in same if row.family == "convolution"]
        told.append(f"{kind} {', '.join(sizes)}" if sizes else kind)
    if len(weighty) > MOST_TOLD:
        told.append(f"\N{HORIZONTAL ELLIPSIS} {len(weighty) - MOST_TOLD} more")
    joins = dict.fromkeys(BRIEF.get(row.kind, row.kind) for row in block if row.family == "join")
    return ", ".join([*told, *joins])


def _blocks(rows: Sequence[LayerRow], depth: int) -> Iterator[tuple[str, list[LayerRow]]]:
    """Give layers that follow each other and share the first `depth` parts of their paths."""
    for path, block in groupby(rows, key=lambda row: ".".join(row.path.split(".")[:depth])):
        found = list(block)
        if any(len(row.path.split(".")) > depth for row in found):
            yield path, found
        else:
            yield from ((row.path, [row]) for row in found)


def _givers(rows: Sequence[LayerRow]) -> dict[str, str]:
    """Give, for every layer that does nothing, the layer whose value it passes on."""
    givers: dict[str, str] = {}
    for row in rows:
        if row.idle and row.sources:
            givers[row.id] = givers.get(row.sources[0], row.sources[0])
    return givers
