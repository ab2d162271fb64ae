"""A description as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zoo.describe.cells import COLUMNS, FIRST_NUMBER, layer_cells, stage_cells
from zoo.describe.description import Description, parts
from zoo.describe.summary import heading, starts, totals

PATH = COLUMNS[0]
MOST_PATH = 0.4  # of a line; paths longer than that are folded
WIDE = 130  # characters a line from which there is room to tell what each layer's weights start as


class _Line(NamedTuple):
    """A line of the table; `start` is what the layer's weights start as."""

    cells: tuple[str, ...]
    start: str = ""
    style: str = ""
    ends_part: bool = False


def as_table(description: Description, *, width: int, changes: str = "") -> RenderableType:
    """Lay a description out for `width` characters; `changes` says what differs from the file."""
    facts = list(heading(description)) + ([("changed", changes)] if changes else [])
    blocks = [
        _pairs(description.spec.name, facts),
        Text(""),
        _layers(description, width),
        Text(f"\n{totals(description)}", "bold"),
    ]
    told = list(starts(description))
    if told:
        blocks.append(_pairs("\nparameters start as", told))
    return Group(*blocks)


def _layers(description: Description, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    lines = list(_lines(description))
    longest = max(len(line.cells[0]) for line in lines)
    for index, name in enumerate(COLUMNS):
        number = index >= FIRST_NUMBER
        whole = number or (name == PATH and longest <= MOST_PATH * width)
        table.add_column(name, justify="right" if number else "left", no_wrap=whole, overflow="fold")
    with_starts = width >= WIDE
    if with_starts:
        table.add_column("weights start as", overflow="fold")
    for line in lines:
        start = [line.start] if with_starts else []
        table.add_row(*line.cells, *start, style=line.style, end_section=line.ends_part)
    return table


def _lines(description: Description) -> Iterator[_Line]:
    for part in parts(description.layers):
        stage = stage_cells(description, part)
        if stage:
            yield _Line(stage, style="bold cyan")
        for row in part.rows:
            style = "bold magenta" if row.path == description.head else ""
            last = row is part.rows[-1]
            yield _Line(layer_cells(description, row), row.init.get("weight", ""), style, last)


def _pairs(title: str, pairs: Sequence[tuple[str, str]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in pairs:
        grid.add_row(Text(f"  {name}"), Text(text))
    return Group(Text(title, "bold"), grid)
