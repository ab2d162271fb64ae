"""Numbers, shapes, calls and tables as text."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console

from pixels.console import SafeConsole
from zoo.registry import INITS, Call
from zoo.spec.items import ops

UNITS = ("", " K", " M", " G", " T")
THOUSAND = 1000
WIDE = 130  # characters per line of output that is not a terminal


def scaled(number: int) -> str:
    """Return a number with one decimal and a unit: 724.4 M."""
    size, unit = float(number), 0
    while round(size, 1) >= THOUSAND and unit < len(UNITS) - 1:
        size, unit = size / THOUSAND, unit + 1
    return f"{size:.1f}{UNITS[unit]}" if unit else str(number)


def format_shape(shape: Sequence[int]) -> str:
    """Return 64x56x56, or a dash for no shape."""
    return "x".join(map(str, shape)) or "-"


def counted(number: int, noun: str) -> str:
    """Return `1 layer`, `2 layers`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_call(call: Call) -> str:
    """Return a call with the arguments that differ from their defaults: `kaiming_normal(mode fan_out)`."""
    entry = INITS[call.op] if call.op in INITS else ops().get(call.op)
    defaults = {parameter.name: parameter.default for parameter in entry.parameters} if entry else {}
    arguments = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in call.args.items()
        if name not in defaults or defaults[name] != value
    ]
    return f"{call.op}({', '.join(arguments)})" if arguments else call.op


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> list[str]:
    """Return the lines of a table; the columns from `numbers` on are aligned to the right."""
    ruler = ["--:" if index >= numbers else "---" for index in range(len(titles))]
    lines = [titles, ruler, *([escape_markdown(cell) for cell in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def escape_markdown(text: str) -> str:
    return text.replace("|", "\\|")


def make_console() -> Console:
    """Return a console that prints text unchanged, as wide as the terminal, else COLUMNS, else `WIDE`."""
    console = SafeConsole(markup=False, emoji=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console
