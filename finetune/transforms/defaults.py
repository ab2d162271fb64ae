"""The default augmentation, and which classes a flip would change: letters, digits, left and right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from finetune.transforms.augmentations import AUGMENTATIONS
from zoo.registry import Call

DIGITS = frozenset(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
SIDES = frozenset(["left", "right", "clockwise", "anticlockwise", "counterclockwise"])
# Words that may accompany a letter or digit in a class name: letter_a, digit 7.
NOUNS = frozenset(
    ["digit", "number", "num", "letter", "char", "character", "class", "label", "glyph", "sign"]
)
FLIPS = ("horizontal_flip", "vertical_flip")
MAX_CLASSES_SHOWN = 5


def default_augmentation(classes: Sequence[str], size: tuple[int, int]) -> tuple[Call, ...]:
    """Return the augmentation of a spec that names none: a flip unless it changes classes, crop, rotation."""
    items: list[dict[str, object]] = [
        {"crop": {"padding": max(1, round(min(size) / 16))}},
        {"rotation": {"degrees": 10.0}},
    ]
    if not flip_changes_class(classes):
        items.insert(0, {"horizontal_flip": {}})
    return tuple(AUGMENTATIONS.read_call(item) for item in items)


def flip_warning(classes: Sequence[str], calls: Iterable[Call], *, at_test_time: bool = False) -> str | None:
    """Return a warning for a flip of letters, digits or sides; None where there is no such flip."""
    flips = [call.op for call in calls if call.op in FLIPS and call.args.get("p", 1) > 0]
    flips += ["finetune.test_time"] if at_test_time else []
    if not flips or not flip_changes_class(classes):
        return None
    some = ", ".join(classes[:MAX_CLASSES_SHOWN]) + (", …" if len(classes) > MAX_CLASSES_SHOWN else "")
    return (
        f"{' and '.join(flips)} mirrors images, and the classes look like letters, digits or sides ({some}): "
        "a mirrored image may belong to another class or to none; remove the flip unless that is intended"
    )


def flip_changes_class(classes: Sequence[str]) -> bool:
    """Return whether half of the classes or more are single letters or digits, or any names a side."""
    words = [_split_words(name) for name in classes]
    if any(SIDES & set(found) for found in words):
        return True
    return sum(map(_is_glyph, words)) * 2 >= len(classes) > 0


def _split_words(name: str) -> list[str]:
    """Split `letter_A` into [letter, a], `Digit7` into [digit, 7]."""
    return re.findall(r"[^\W\d_]+|\d+", name.lower())


def _is_glyph(words: list[str]) -> bool:
    core = [word for word in words if word not in NOUNS]
    return len(core) == 1 and (len(core[0]) == 1 or core[0].isdigit() or core[0] in DIGITS)
