"""Text for the terminal that needs no slow import: its characters, and commands that can be pasted."""

from __future__ import annotations

import codecs
import os
import shlex
import shutil
import sys
from io import TextIOWrapper
from pathlib import Path

PLAIN_TEXT = {
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{BULLET}": "*",
    "\N{BLACK RIGHT-POINTING TRIANGLE}": ">",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{EM DASH}": "-",
    "\N{EN DASH}": "-",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{MIDDLE DOT}": "-",
}
"""What stands for characters that a terminal's encoding does not have; others become a question mark."""
SHORT, LONG = 0.1, 1.5
"""Minutes below which a time is "a few seconds", and from which it is given in minutes."""


def replace_unknown_characters() -> None:
    """Let standard output and error replace what their encoding does not have, instead of failing."""
    codecs.register_error("graft", _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="graft")


def _replace(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    found = error.object[error.start : error.end]
    return "".join(PLAIN_TEXT.get(character, "?") for character in found), error.end


def format_minutes(minutes: float) -> str:
    """Return a time in words, such as `about 20 minutes`."""
    if minutes < SHORT:
        return "a few seconds"
    return f"about {minutes * 60:.0f} seconds" if minutes < LONG else f"about {minutes:.0f} minutes"


def format_command(*arguments: object) -> str:
    """Return a `graft` command as it can be pasted into this shell, in the working directory."""
    return shlex.join([*_program(), *map(str, arguments)])


def _program() -> list[str]:
    """Return how `graft` is started: by its name where that is this installation, else by its path."""
    script = Path(sys.executable).with_name("graft")
    on_path = shutil.which("graft")
    if on_path is not None and (not script.exists() or Path(on_path).samefile(script)):
        return ["graft"]
    if script.exists():
        return [os.path.join(".", shown) if os.sep not in (shown := show_path(script)) else shown]  # noqa: PTH118
    return [show_path(Path(sys.executable)), "-m", "graft"]


def show_path(path: Path) -> str:
    """Return the path relative to the working directory where it lies below that, else the whole."""
    try:
        return str(Path(os.path.abspath(path)).relative_to(Path.cwd()))  # noqa: PTH100  links stay
    except ValueError:
        return str(path)
