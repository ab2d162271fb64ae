"""The command that checks a set of images, shows what it found, and writes the page and the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from files.paths import expand_home
from finetune.config import DataSettings, get_section
from finetune.experiment.recipe import read_recipe
from finetune.health.check import Health, check_health
from finetune.health.finding import KINDS, format_table
from finetune.health.page import write_page
from finetune.records.disk import require_writable
from finetune.records.files import write_text
from finetune.records.run_folder import RUNS, safe_name
from finetune.runtime.console import Terminal, show_progress

PAGE, TABLE = "health.html", "health.csv"


def show_health(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    *,
    out: str | Path | None = None,
    console: Console | None = None,
) -> Health:
    """Check the images of the spec, or `data`, with its network; print what was found, and write both files.

    `out` is their folder, by default `runs/<spec>/<data>.health`.
    Raises: GraftError for a spec or data that the user has to correct first, and for a folder that cannot be
    written.
    """
    console, recipe = console or Terminal(), read_recipe(spec, data, set)
    settings = get_section(recipe, DataSettings)
    source = str(getattr(settings, settings.source))
    folder = (
        RUNS / recipe.name / f"{safe_name(Path(source).stem)}.health" if out is None else expand_home(out)
    )
    require_writable(folder)
    with show_progress(console):
        health = check_health(recipe)
    write_text(folder / PAGE, write_page(health))
    write_text(folder / TABLE, format_table(health.findings))
    print_health(health, console)
    console.print(
        f"[bold]{escape(str(folder / PAGE))}[/bold] shows them; {escape(str(folder / TABLE))} lists them"
    )
    if health.findings:
        console.print(
            "Tick images on the page and save the list, or write yes into the table's column exclude; then "
            "leave them out with --set data.exclude=FILE"
        )
    return health


def print_health(health: Health, console: Console) -> None:
    """Print how many findings of each kind there are, with the first of each."""
    console.print(
        f"{health.images:,} images of {len(health.classes)} classes in {health.where}", markup=False
    )
    for note in health.notes:
        console.print(f"[yellow]note[/yellow]: {escape(note)}")
    counts = Counter(each.kind for each in health.findings)
    if not counts:
        console.print("Nothing was found.")
        return
    table = Table("finding", "number", "such as")
    for kind, (title, _) in KINDS.items():
        if counts[kind]:
            first = next(each for each in health.findings if each.kind == kind)
            example = ": ".join(part for part in (first.image or first.label, first.detail) if part)
            table.add_row(title, f"{counts[kind]:,}", escape(example))
    console.print(table)
