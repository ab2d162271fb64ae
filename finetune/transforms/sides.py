"""Class sets that a mirror spoils: letters, digits, left and right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from zoo.registry import Call

DIGITS = frozenset(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
SIDED = frozenset(["left", "right", "clockwise", "anticlockwise", "counterclockwise"])
# what may stand beside a letter or digit in a class name: letter_a, digit 7
NOUNS = frozenset(
    ["digit", "number", "num", "letter", "char", "character", "class", "label", "glyph", "sign"]
)
FLIPS = ("horizontal_flip", "vertical_flip")
SHOWN = 5


def warn_flips(classes: Sequence[str], calls: Iterable[Call], *, at_test_time: bool = False) -> str | None:
    """What to tell somebody who mirrors letters, digits or sides; None when there is nothing to say."""
    flips = [call.op for call in calls if call.op in FLIPS and call.args.get("p", 1) > 0]
    flips += ["finetune.test_time"] if at_test_time else []
    if not flips or not sides_matter(classes):
        return None
    some = ", ".join(classes[:SHOWN]) + (", …" if len(classes) > SHOWN else "")
    return (
        f"{' and '.join(flips)} mirrors images whose classes look like letters, digits or sides ({some}): "
        "a mirrored one may be another class, or none; leave the flip out unless a mirror changes nothing"
    )


def sides_matter(classes: Sequence[str]) -> bool:
    """Whether half of the classes or more are single letters or digits, or any says left or right."""
    words = [_words(name) for name in classes]
    if any(SIDED & set(found) for found in words):
        return True
    return sum(map(_is_glyph, words)) * 2 >= len(classes) > 0


def _words(name: str) -> list[str]:
    """`letter_A` -> [letter, a]; `Digit7` -> [digit, 7]."""
    return re.findall(r"[^\W\d_]+|\d+", name.lower())


def _is_glyph(words: list[str]) -> bool:
    core = [word for word in words if word not in NOUNS]
    return len(core) == 1 and (len(core[0]) == 1 or core[0].isdigit() or core[0] in DIGITS)
