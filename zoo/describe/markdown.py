"""A description as Markdown, for documents."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.describe.cells import COLUMNS, FIRST_NUMBER, layer_cells, stage_cells
from zoo.describe.description import Description, parts
from zoo.describe.summary import heading, starts, totals


def as_markdown(description: Description, *, changes: str = "") -> str:
    """Write a description as a list of facts and a table of layers; `changes` as in `as_table`."""
    spec = description.spec
    facts = list(heading(description)) + ([("changed", changes)] if changes else [])
    lines = [f"# {spec.name}", "", *_bullets(facts), "", *_table(description), "", totals(description), ""]
    told = list(starts(description))
    if told:
        lines += ["## Parameters start as", "", *_bullets(told), ""]
    return "\n".join(lines)


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> list[str]:
    """Give the lines of a table; its columns from `numbers` on hold numbers."""
    ruler = ["--:" if index >= numbers else "---" for index in range(len(titles))]
    lines = [titles, ruler, *([_escaped(cell) for cell in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _table(description: Description) -> list[str]:
    rows = []
    for part in parts(description.layers):
        stage = stage_cells(description, part)
        if stage:
            rows.append(tuple(f"**{cell}**" if cell else "" for cell in stage))
        rows += [layer_cells(description, row) for row in part.rows]
    return markdown_table(COLUMNS, rows, FIRST_NUMBER)


def _bullets(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [f"- {name}: {_escaped(text)}" for name, text in pairs]


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
