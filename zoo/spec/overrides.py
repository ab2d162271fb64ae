"""`set`: dotted keys and values given beside the file, made into mappings to lay over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from zoo.errors import Mark, Problem, SpecError
from zoo.spec.nodes import MapNode, Node, Scalar, from_plain, plain
from zoo.spec.reader import read_text
from zoo.spec.scalars import AmbiguousError, read_scalar

SHOWN = "SET"


def read_overrides(given: Mapping[str, object]) -> list[MapNode]:
    """Give one mapping for each dotted key. Raises SpecError for keys and values that cannot be read."""
    problems: list[Problem] = []
    overrides = [_override(key, value, problems) for key, value in given.items()]
    if problems:
        raise SpecError(problems)
    return overrides


def _override(key: str, value: object, problems: list[Problem]) -> MapNode:
    text = f"{key}={value}"
    at_key = Mark(SHOWN, 0, 1, text, len(key))
    at_value = Mark(SHOWN, 0, len(key) + 2, text, max(1, len(text) - len(key) - 1))
    parts = key.split(".")
    if not all(parts):
        problems.append(Problem(at_key, "", f"'{key}' is no dotted key", "one such as finetune.epochs"))
    node = _value(value, at_value, problems)
    for part in reversed(parts):
        node = MapNode({part: node}, {part: at_key}, at_key)
    assert isinstance(node, MapNode)
    return node


def _value(value: object, mark: Mark, problems: list[Problem]) -> Node:
    if isinstance(value, Path):
        return Scalar(str(value), mark)
    try:
        return from_plain(_read(value) if isinstance(value, str) else value, mark)
    except AmbiguousError as error:
        problems.append(Problem(mark, "", str(error), error.wayout))
    except (TypeError, SpecError) as error:
        said = error.problems[0].message if isinstance(error, SpecError) else str(error)
        problems.append(Problem(mark, "", said, "a value as a spec would have it"))
    return Scalar(None, mark)


def _read(text: str) -> object:
    """Read a text as a value of a spec: one word, or a list, mapping or quoted text as YAML writes them."""
    if text[:1] in ("{", "[", '"', "'"):
        read = plain(read_text(f"value: {text}", SHOWN))
        assert isinstance(read, dict)
        return read["value"]
    return read_scalar(text)
