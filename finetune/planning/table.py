"""The table of size and similarity: the cell of a data set, and the strategy that is usual there."""

from __future__ import annotations

from rich import box
from rich.table import Table

from finetune.records.plan import SIMILARITIES, SIZES, Cell
from finetune.strategies import STRATEGIES

QUITE_A_LOT = 50
"""Images in the median class from which data counts as "quite a lot"."""

TABLE = {
    (SIZES[0], SIMILARITIES[0]): "linear_probe",
    (SIZES[0], SIMILARITIES[1]): "stage_probe",
    (SIZES[1], SIMILARITIES[0]): "partial",
    (SIZES[1], SIMILARITIES[1]): "full",
}
WITHOUT_WEIGHTS = "scratch"
"""The strategy where there are no pretrained weights."""
WITHOUT_FEATURES = "full"
"""The strategy for tasks whose similarity is not measured."""


def find_cell(median_class: float, similar: bool) -> Cell:
    """Return the cell for the number of images in the median class, and a similarity."""
    return SIZES[median_class >= QUITE_A_LOT], SIMILARITIES[not similar]


def draw_table(cell: Cell | None, chosen: str) -> Table:
    """Return the table for a rich console, with the cell of the data marked."""
    table = Table(box=box.ROUNDED, show_lines=True)
    table.add_column("")
    for similarity in SIMILARITIES:
        table.add_column(f"{similarity} data", justify="center", ratio=1)
    for size in SIZES:
        cells = []
        for similarity in SIMILARITIES:
            name = TABLE[size, similarity]
            text = f"{name}\n[dim]{STRATEGIES[name].description}[/dim]"
            cells.append(f"[bold green]▶ {text}[/bold green]" if cell == (size, similarity) else text)
        table.add_row(size, *cells)
    if cell is None:
        table.caption = f"the table needs pretrained weights; chosen: {chosen}"
    return table
