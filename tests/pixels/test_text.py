"""Nothing that a stranger wrote acts on a terminal."""

from __future__ import annotations

import io
import json

import pytest
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from pixels.console import SafeConsole
from pixels.text import escape_json, printable

MARK = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    "unsafe", ["\x1b", "\x9b", "\0", "\r", "\b", "\x7f", "\u2028", "\u202e", "\u2066", "\ud800"]
)
def test_a_character_that_acts_on_a_terminal_is_replaced(unsafe: str) -> None:
    assert printable(f"a{unsafe}b") == f"a{MARK}b"


@pytest.mark.parametrize("text", ["two\nlines\t", "Straße", "猫", "می‌خواهم", "👩‍🔬", "a\u00a0b"])
def test_text_of_any_language_stays(text: str) -> None:
    assert printable(text) == text


def test_json_stands_for_the_same_values() -> None:
    value = {"a\x1b": ["\x9b1m", "Straße\n"]}
    escaped = escape_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(escaped) == value
    assert printable(escaped) == escaped and "Straße" in escaped


def test_a_console_prints_its_own_styles_only() -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, color_system="standard", width=40)
    table = Table("\x1b]0;title\x07")
    table.add_row(Text("\x1b[31mred", style="bold"))
    console.print(table)
    console.print("\x1b[2J", markup=False, highlight=False, soft_wrap=True)
    with Progress(console=console) as progress:
        progress.add_task("\x1b[1A", total=1)
    printed = file.getvalue()
    assert "\x1b[1m" in printed
    for command in ("\x1b]0;", "\x1b[31m", "\x1b[2J", "\x1b[1A", "\x07"):
        assert command not in printed
    assert f"{MARK}]0;title{MARK}" in printed
    assert f"{MARK}[31mred" in printed and f"{MARK}[2J" in printed
