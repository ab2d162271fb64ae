"""Damage to bytes and to documents."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from typing import Any

EXTREMES = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\1\0\0\0",
)
TEXTS = (
    "",
    " ",
    "\n",
    "\x1b[31m",
    "\x9b",
    "\u202e",
    "\ud800",
    "é",
    "a" * 300,
    "../../etc/passwd",
    "~nobody/x",
    *("$", "$classes", "*", "**", "%s{}", "null", "0b11", "1e999", ".", "a.b.c", "/dev/zero", "\0"),
)
NUMBERS = (0, -1, 1, 2, 3, 7, 255, 256, 2**31, 2**32, 2**63 - 1, 2**63, -(2**63), 10**18, 10**30, 10**400)
FRACTIONS = (0.0, -0.0, 0.5, 1.0, -1.5, 1e-30, 1e-300, 1e30, 1e300, 3.4e38)
DEEP = (30, 70, 120, 3000)


def damage(content: bytes, draw: random.Random) -> bytes:
    """Return bytes with one to four changes; never the same bytes, unless there are none."""
    damaged = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        at = draw.randrange(len(damaged) + 1)
        length = draw.choice((1, 2, 4, 16, 256))
        match draw.choice(("flip", "flip", "byte", "extreme", "insert", "delete", "double", "cut", "zero")):
            case "flip" if at < len(damaged):
                damaged[at] ^= 1 << draw.randrange(8)
            case "byte" if at < len(damaged):
                damaged[at] = draw.randrange(256)
            case "extreme":
                damaged[at : at + 4] = draw.choice(EXTREMES)
            case "insert":
                damaged[at:at] = draw.randbytes(length)
            case "delete":
                del damaged[at : at + length]
            case "double":
                damaged[at:at] = damaged[at : at + length]
            case "cut":
                del damaged[at:]
            case "zero":
                damaged[at : at + length] = bytes(len(damaged[at : at + length]))
    return bytes(damaged) if damaged != content else content[: len(content) // 2]


def alter(document: Any, draw: random.Random, words: Sequence[str], count: int) -> Any:  # noqa: ANN401
    """Return a document of JSON's types with values changed, removed, renamed, doubled, wrapped or moved."""
    document = copy.deepcopy(document)
    for _ in range(count):
        places = [place for place in _places(document) if place]
        if not places:
            break
        *above, last = draw.choice(places)
        _alter_item(_at(document, above), last, document, draw, words)
    return document


def _alter_item(parent: Any, key: Any, document: Any, draw: random.Random, words: Sequence[str]) -> None:  # noqa: ANN401
    value, other = parent[key], draw_value(draw, words)
    match draw.choice(("nudge", "change", "change", "remove", "rename", "add", "move", "wrap", "deepen")):
        case "nudge" if isinstance(value, int):
            parent[key] = draw.choice((*range(-1, 9), value * 2, value + 1, 10**9))
        case "remove":
            del parent[key]
        case "rename" if isinstance(parent, dict):
            parent[draw_text(draw, words)] = parent.pop(key)
        case "add" if isinstance(parent, dict):
            parent[draw_text(draw, words)] = other
        case "move":
            parent[key] = copy.deepcopy(_at(document, draw.choice(list(_places(document)))))
        case "wrap":
            parent[key] = draw.choice(([value], {draw_text(draw, words): value}, [value] * 2))
        case "deepen":
            for _ in range(draw.choice(DEEP[:2])):
                parent[key] = {draw_text(draw, words): parent[key]} if draw.random() < 0.5 else [parent[key]]
        case _:
            parent[key] = other


def draw_value(draw: random.Random, words: Sequence[str], depth: int = 0) -> Any:  # noqa: ANN401
    """Return a value: a number, a text, a list, a mapping or none."""
    kind = draw.randrange(9 if depth < 2 else 6)
    if kind == 6:
        return [draw_value(draw, words, depth + 1) for _ in range(draw.randrange(4))]
    if kind == 7:
        return [draw_value(draw, words, 2)] * draw.choice((10, 1000))
    if kind == 8:
        return {draw_text(draw, words): draw_value(draw, words, depth + 1) for _ in range(draw.randrange(4))}
    scalars = (draw.choice((None, True, False)), draw.randrange(-3, 70), draw.choice(NUMBERS))
    return draw.choice((*scalars, draw.choice(FRACTIONS), draw_text(draw, words), draw_text(draw, words)))


def draw_text(draw: random.Random, words: Sequence[str]) -> str:
    """Return a word that means something, or one that should not."""
    return draw.choice(words) if draw.random() < 0.8 else draw.choice(TEXTS)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401
    yield path
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in below:
        yield from _places(item, (*path, key))


def _at(value: Any, place: Sequence[str | int]) -> Any:  # noqa: ANN401
    for step in place:
        value = value[step]
    return value
