"""Text from strangers, made safe to print: names of files and classes, values of specs, metadata."""

from __future__ import annotations

import re

# Control characters except tab and newline, among them the escape that begins commands to a terminal; marks
# that turn the direction of the text around them; line separators; halves of characters.
UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return the text with every character that could act on a terminal replaced by one that marks it."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def escape_json(text: str) -> str:
    """Return JSON text with the same characters written as escapes; it stands for the same values."""
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
