"""The terminal: any encoding, progress, commands that can be pasted."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from finetune.records.estimate import wilson_interval
from finetune.runtime import console as console_module
from finetune.runtime.console import Terminal, details, report_progress, show_progress
from finetune.runtime.console_text import format_command, show_path

TEXT = "\N{BLACK RIGHT-POINTING TRIANGLE} 97% \N{PLUS-MINUS SIGN} 1 \N{HORIZONTAL ELLIPSIS} \N{SNOWMAN}"


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("latin-1", "> 97% \N{PLUS-MINUS SIGN} 1 ... ?"),
        ("cp1252", "> 97% \N{PLUS-MINUS SIGN} 1 \N{HORIZONTAL ELLIPSIS} ?"),
        ("ascii", "> 97% +- 1 ... ?"),
        ("utf-8", TEXT),
    ],
)
def test_characters_that_a_terminal_cannot_show_are_replaced(encoding: str, printed: str) -> None:
    code = (
        "from finetune.runtime.console_text import *; from finetune.runtime.console import *\n"
        f"replace_unknown_characters(); Terminal().print({TEXT!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert done.stdout.decode(encoding).strip() == printed


def test_details_are_printed_only_where_they_are_asked_for() -> None:
    assert not details(Terminal(why=True)).quiet
    assert details(Terminal()).quiet
    assert details(Console()).quiet


def test_progress_is_shown_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "PLAIN_EVERY_S", 0.0)
    report_progress("nobody asked")
    console = Console(file=io.StringIO())
    with show_progress(console):
        report_progress("reading", 3, 10)
    report_progress("over")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "  reading 3/10 \N{HORIZONTAL ELLIPSIS}\n"


def test_commands_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert show_path(tmp_path / "a b") == "a b"
    assert show_path(tmp_path.parent) == str(tmp_path.parent)
    assert format_command("finetune", "a b.yaml", "x[0]=1").endswith("finetune 'a b.yaml' 'x[0]=1'")
    script = tmp_path / "graft"
    script.write_text("")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "")
    assert format_command("demo") == "./graft demo"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert format_command("demo") == "graft demo"
    script.unlink()
    assert format_command("demo") == "python -m graft demo"


def test_the_interval_is_wilsons() -> None:
    low, high = wilson_interval(261 / 269, 269)
    assert (round(low, 3), round(high, 3)) == (0.942, 0.985)
    assert wilson_interval(1.0, 10)[1] == pytest.approx(1.0)
    assert wilson_interval(0.0, 10)[0] == 0.0
