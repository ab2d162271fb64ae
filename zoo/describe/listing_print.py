"""Print the zoo: a table for terminals, Markdown for documents, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoo.describe.listing import Listed, Listing
from zoo.describe.markdown import markdown_table
from zoo.describe.terminal import plain_console
from zoo.describe.wording import counted, scaled, shape_in_words

COLUMNS = ("network", "task", "input", "parameters", "MACs", "facts", "weights to hand")
RIGHT = {"parameters", "MACs"}
MOST_TO_FETCH = 2  # names shown of weights that are not here


def print_listing(listing: Listing, form: Literal["table", "json", "markdown"]) -> None:
    """Print to standard output."""
    if form == "json":
        specs = [asdict(listed) | {"path": str(listed.path)} for listed in listing.specs]
        sys.stdout.write(json.dumps({"specs": specs, "errors": listing.errors}, indent=2) + "\n")
    elif form == "markdown":
        sys.stdout.write(as_markdown(listing))
    else:
        _print_table(listing, plain_console())


def as_markdown(listing: Listing) -> str:
    """Write the zoo as one table, without what differs from machine to machine."""
    titles = ("network", "task", "input", "source", "parameters", "MACs")
    rows = []
    for listed in listing.specs:
        name, task, size, params, macs, *_ = _cells(listed)
        rows.append((name, task, size, listed.source, params, macs))
    return "\n".join(markdown_table(titles, rows, numbers=titles.index("parameters"))) + "\n"


def _print_table(listing: Listing, console: Console) -> None:
    """Print the specs paper by paper, the oldest first, then what is wrong."""
    rows = [COLUMNS, *map(_cells, listing.specs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    console.print(_table([COLUMNS], widths, styles=["dim"]))
    for source, same_source in groupby(listing.specs, key=lambda listed: (listed.year, listed.source)):
        specs = list(same_source)
        console.print(Text(f"\n{_title(*source)}", "bold"))
        styles = ["red" if listed.violated else "" for listed in specs]
        console.print(_table([_cells(listed) for listed in specs], widths, styles))
    if any(listed.to_fetch for listed in listing.specs):
        console.print(Text("\nWeights in brackets are not on this machine: python -m zoo pull SPEC", "dim"))
    console.print(Text(f"\n{counted(len(listing.specs), 'network')}, {_verdict(listing)}", "bold"))
    for trouble in _troubles(listing):
        console.print(Text(trouble, "bold red"))


def _table(rows: Sequence[tuple[str, ...]], widths: Sequence[int], styles: Sequence[str]) -> Table:
    """Lay lines out in columns of the same widths as the other papers' lines; the last takes what is left."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, width in zip(COLUMNS, widths, strict=True):
        last = name == COLUMNS[-1]
        table.add_column(
            justify="right" if name in RIGHT else "left", width=None if last else width, overflow="fold"
        )
    for row, style in zip(rows, styles, strict=True):
        table.add_row(*row, style=style)
    return table


def _cells(listed: Listed) -> tuple[str, ...]:
    facts = "violated" if listed.violated else "hold" if listed.has_facts else "-"
    size = shape_in_words(listed.input)
    return listed.name, listed.task, size, f"{listed.params:,}", scaled(listed.macs), facts, _weights(listed)


def _weights(listed: Listed) -> str:
    """Give the names of the weights to hand, and in brackets of those to fetch."""
    more = ["\N{HORIZONTAL ELLIPSIS}"] if len(listed.to_fetch) > MOST_TO_FETCH else []
    to_fetch = ", ".join([*listed.to_fetch[:MOST_TO_FETCH], *more])
    return " ".join([", ".join(listed.weights), f"({to_fetch})" if to_fetch else ""]).strip() or "-"


def _title(year: int | None, source: str) -> str:
    """Give the year and, the year left out, the source: `2012  Krizhevsky et al., ImageNet …`."""
    if year is None:
        return source or "no source given"
    return f"{year}  " + source.replace(f" {year}", "", 1)


def _verdict(listing: Listing) -> str:
    if listing.is_right:
        return "no fact violated"
    return f"{counted(len(list(_troubles(listing))), 'mistake')}:"


def _troubles(listing: Listing) -> Iterator[str]:
    for listed in listing.specs:
        for fact in listed.violated:
            yield f"{listed.path}: {fact}"
    yield from listing.errors
