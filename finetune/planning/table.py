"""The size and similarity table: where a data set stands in it, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from finetune.records.plan import SIMILARITIES, SIZES
from finetune.strategies import STRATEGIES

FEW_IMAGES_A_CLASS = 50
"""Median images a class from which data counts as "quite a lot"."""

TABLE = {
    (SIZES[0], SIMILARITIES[0]): "linear_probe",
    (SIZES[0], SIMILARITIES[1]): "stage_probe",
    (SIZES[1], SIMILARITIES[0]): "partial",
    (SIZES[1], SIMILARITIES[1]): "full",
}


def find_cell(images_a_class: float, similar: bool) -> tuple[str, str]:
    """The cell of the table for a median number of images a class and a similarity."""
    return SIZES[images_a_class >= FEW_IMAGES_A_CLASS], SIMILARITIES[not similar]


def draw_table(cell: Sequence[str] | None, chosen: str) -> Table:
    """The table with the cell marked in which the data stands, for a rich console."""
    table = Table(box=box.ROUNDED, show_lines=True)
    table.add_column("")
    for similarity in SIMILARITIES:
        table.add_column(f"{similarity} data", justify="center", ratio=1)
    for size in SIZES:
        cells = []
        for similarity in SIMILARITIES:
            name = TABLE[size, similarity]
            text = f"{name}\n[dim]{STRATEGIES[name].words}[/dim]"
            here = cell is not None and tuple(cell) == (size, similarity)
            cells.append(f"[bold green]▶ {text}[/bold green]" if here else text)
        table.add_row(size, *cells)
    if cell is None:
        table.caption = f"the table needs pretrained weights; chosen: {chosen}"
    return table
