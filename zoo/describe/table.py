"""A description as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

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
    longest = max(len(row.path) for row in description.layers)
    for index, name in enumerate(COLUMNS):
        number = index >= FIRST_NUMBER
        whole = number or (name == PATH and longest <= MOST_PATH * width)
        table.add_column(name, justify="right" if number else "left", no_wrap=whole, overflow="fold")
    with_starts = width >= WIDE
    if with_starts:
        table.add_column("weights start as", overflow="fold")
    for part in parts(description.layers):
        stage = stage_cells(description, part)
        if stage:
            table.add_row(*stage, style="bold cyan")
        for row in part.rows:
            start = [row.init.get("weight", "")] if with_starts else []
            style = "bold magenta" if row.path == description.head else None
            table.add_row(*layer_cells(description, row), *start, style=style)
        table.add_section()
    return table


def _pairs(title: str, pairs: Sequence[tuple[str, str]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in pairs:
        grid.add_row(Text(f"  {name}"), Text(text))
    return Group(Text(title, "bold"), grid)
