"""List every spec with its sizes and available weights, and check its facts."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoo.api import read_spec
from zoo.describe.description import violated_facts
from zoo.describe.text import counted, format_shape, make_console, markdown_table, scaled
from zoo.describe.trace import describe
from zoo.errors import GraftError
from zoo.pretrained.load import available_weights
from zoo.spec.header import Facts
from zoo.spec.inherit import SPECS, SUFFIX
from zoo.spec.spec import Spec

RECIPES = ("pretrain",)  # folders of specs that train a network of another spec
YEAR = re.compile(r"\b(?:19|20)\d\d\b")
COLUMNS = ("network", "task", "input", "parameters", "MACs", "facts", "weights")
FIRST_NUMBER, LAST_NUMBER = 3, 4
SHOWN_UNAVAILABLE = 2  # names of weights that are not on this machine


@dataclass(frozen=True)
class Listed:
    """One spec. `macs` are multiply-adds per image; `unavailable_weights` are not on this machine."""

    name: str
    path: Path
    year: int | None
    source: str
    task: str
    input: tuple[int, int, int]
    params: int
    macs: int
    available_weights: tuple[str, ...]
    unavailable_weights: tuple[str, ...]
    has_facts: bool
    violated_facts: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """All specs of a folder, from the oldest network to the newest; `errors` are of unreadable files."""

    specs: tuple[Listed, ...]
    errors: tuple[str, ...]

    @property
    def mistakes(self) -> tuple[str, ...]:
        """Every violated fact and every error."""
        violated = (f"{spec.path}: {fact}" for spec in self.specs for fact in spec.violated_facts)
        return (*violated, *self.errors)


def list_specs(folder: Path = SPECS) -> Listing:
    """Describe every spec in a folder and the folders in it, except hidden ones.

    Raises: GraftError if there is none.
    """
    files = [
        path
        for path in sorted(folder.rglob("*" + SUFFIX))
        if not any(part in RECIPES or part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        raise GraftError(f"{folder}: no specs (*{SUFFIX}) in this folder")
    listed, errors = [], []
    for path in files:
        try:
            spec = read_spec(path)
            if not spec.is_chosen:
                listed.append(_listed(spec))
        except GraftError as error:
            errors.append(str(error))
    listed.sort(key=lambda spec: (spec.year or 9999, spec.source, spec.params, spec.name))
    return Listing(tuple(listed), tuple(errors))


def specs_with_weights(task: str, *, or_params: int = 0) -> tuple[str, ...]:
    """Return the names of the zoo's specs for a task whose weights load without a network.

    Also of those with at most `or_params` parameters, whose weights would be downloaded.
    """
    specs = (read_spec(path) for path in sorted(SPECS.glob("*" + SUFFIX)))

    def is_small(spec: Spec) -> bool:
        return bool(spec.weights) and (spec.facts.params or or_params + 1) <= or_params

    return tuple(
        spec.name for spec in specs if spec.task == task and (available_weights(spec) or is_small(spec))
    )


def _listed(spec: Spec) -> Listed:
    description = describe(spec)
    year, available = YEAR.search(spec.source), available_weights(spec)
    return Listed(
        name=spec.name,
        path=spec.path,
        year=int(year[0]) if year else None,
        source=spec.source,
        task=spec.task,
        input=(spec.input.channels, spec.input.height, spec.input.width),
        params=description.params,
        macs=description.macs,
        available_weights=available,
        unavailable_weights=tuple(name for name in spec.weights if name not in available),
        has_facts=spec.facts != Facts(),
        violated_facts=tuple(violated_facts(description)),
    )


def print_listing(listing: Listing, form: Literal["table", "json", "markdown"]) -> None:
    """Print to standard output."""
    if form == "json":
        sys.stdout.write(json.dumps(to_jsonable_python(listing), indent=2) + "\n")
    elif form == "markdown":
        sys.stdout.write(as_markdown(listing))
    else:
        _print_table(listing, make_console())


def as_markdown(listing: Listing) -> str:
    """Return the specs as one table, without the weights, which differ between machines."""
    rows = []
    for spec in listing.specs:
        name, task, size, params, macs, *_ = _cells(spec)
        rows.append((name, task, size, spec.source, params, macs))
    titles = (*COLUMNS[:FIRST_NUMBER], "source", *COLUMNS[FIRST_NUMBER : LAST_NUMBER + 1])
    return "\n".join(markdown_table(titles, rows, numbers=FIRST_NUMBER + 1)) + "\n"


def _print_table(listing: Listing, console: Console) -> None:
    """Print the specs grouped by paper, the oldest first, then the mistakes."""
    widths = [max(map(len, column)) for column in zip(COLUMNS, *map(_cells, listing.specs), strict=True)]
    console.print(_table([COLUMNS], widths, ["dim"]))
    for (year, source), same_source in groupby(listing.specs, key=lambda spec: (spec.year, spec.source)):
        specs = list(same_source)
        title = source or "no source given"
        rest = title.replace(f" {year}", "", 1).rstrip(",")
        console.print(Text(f"\n{year}  {rest}" if year else f"\n{title}", "bold"))
        styles = ["red" if spec.violated_facts else "" for spec in specs]
        console.print(_table([_cells(spec) for spec in specs], widths, styles))
    if any(spec.unavailable_weights for spec in listing.specs):
        console.print(Text("\nWeights in brackets are not on this machine: graft zoo pull SPEC", "dim"))
    mistakes = listing.mistakes
    result = f"{counted(len(mistakes), 'mistake')}:" if mistakes else "no fact violated"
    console.print(Text(f"\n{counted(len(listing.specs), 'network')}, {result}", "bold"))
    for mistake in mistakes:
        console.print(Text(mistake, "bold red"))


def _table(rows: Sequence[tuple[str, ...]], widths: Sequence[int], styles: Sequence[str]) -> Table:
    """Return lines in columns of the given widths; the last column takes what is left."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for index, width in enumerate(widths):
        number, last = FIRST_NUMBER <= index <= LAST_NUMBER, index == len(widths) - 1
        table.add_column(
            justify="right" if number else "left", width=None if last else width, overflow="fold"
        )
    for row, style in zip(rows, styles, strict=True):
        table.add_row(*row, style=style)
    return table


def _cells(spec: Listed) -> tuple[str, ...]:
    facts = "violated" if spec.violated_facts else "hold" if spec.has_facts else "-"
    size, params = format_shape(spec.input), f"{spec.params:,}"
    return spec.name, spec.task, size, params, scaled(spec.macs), facts, _weights(spec)


def _weights(spec: Listed) -> str:
    """Return the names of the available weights, then in brackets of the others."""
    shown = list(spec.unavailable_weights[:SHOWN_UNAVAILABLE])
    if len(spec.unavailable_weights) > SHOWN_UNAVAILABLE:
        shown.append("\N{HORIZONTAL ELLIPSIS}")
    others = f"({', '.join(shown)})" if shown else ""
    return " ".join(filter(None, (", ".join(spec.available_weights), others))) or "-"
