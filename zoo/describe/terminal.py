"""Print a description in one of its forms."""

from __future__ import annotations

import os
import sys
from typing import Literal

from rich.console import Console

from zoo.describe.description import Description
from zoo.describe.markdown import as_markdown
from zoo.describe.plain import as_json
from zoo.describe.table import WIDE, as_table


def print_description(
    description: Description,
    form: Literal["table", "json", "markdown"],
    *,
    weights: bool = False,
    changes: str = "",
) -> None:
    """Print to standard output. A table fits the terminal, and `weights` adds what is known of them."""
    if form == "json":
        sys.stdout.write(as_json(description) + "\n")
    elif form == "markdown":
        sys.stdout.write(as_markdown(description, changes=changes))
    else:
        console = plain_console()
        console.print(as_table(description, width=console.width, changes=changes))
        if weights:
            from zoo.pretrained.show import render_weights

            console.print(render_weights(description.spec))


def plain_console() -> Console:
    """Give a console that prints texts as they are; as wide as the terminal, else COLUMNS, else WIDE."""
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console
