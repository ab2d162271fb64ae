"""The table of a description as plain texts: one line a layer, and one above each stage."""

from __future__ import annotations

from zoo.describe.description import Description, LayerRow, Part
from zoo.describe.wording import scaled, shape_in_words

COLUMNS = ("path", "kind", "arguments", "output", "parameters", "MACs")
FIRST_NUMBER = 4  # columns from here on hold numbers


def layer_cells(description: Description, row: LayerRow) -> tuple[str, ...]:
    """Give the line of a layer."""
    kind = f"{row.kind} (head)" if row.path == description.head else row.kind
    params = f"{row.params:,}" if row.params else ""
    macs = scaled(row.macs) if row.macs else ""
    return row.path, kind, ", ".join(row.arguments), shape_in_words(row.output), params, macs


def stage_cells(description: Description, part: Part) -> tuple[str, ...]:
    """Give the line above the layers of a stage: what they come to. () for the head, or without stages."""
    if part.path not in description.stages:
        return ()
    place = description.stages.index(part.path) + 1
    output = shape_in_words(part.rows[-1].output)
    stage = f"stage {place} goes on" if part.goes_on else f"stage {place} of {len(description.stages)}"
    return f"{part.path}: {stage}", "", "", output, f"{part.params:,}", scaled(part.macs)
