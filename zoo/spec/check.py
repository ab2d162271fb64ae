"""Validate nodes with pydantic, and report its errors with their places."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from zoo import limits
from zoo.errors import Mark, Problem, nearest
from zoo.spec.nodes import ListNode, MapNode, Node, Problems, Scalar, describe, plain
from zoo.spec.yaml import read_file

EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "none_required": "null",
    "finite_number": "a finite number",
    "path_type": "a path",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
    "string_too_short": "{min_length} characters or more",
    "string_too_long": "{max_length} characters or fewer",
    "string_pattern_mismatch": "a text like {pattern}",
    "unknown_call": "NAME or {{NAME: {{arguments}}}}, one of {names}",
}
UNKNOWN = frozenset({"extra_forbidden", "unexpected_keyword_argument"})  # of a model, of a dataclass
MISSING = frozenset({"missing"})
CUSTOM_MESSAGES = frozenset({"value_error", "assertion_error", "call_needs"})
INPUT_CHANNELS = frozenset({"in", "in_channels", "in_features", "inputs", "input"})


def check(adapter: TypeAdapter[Any], node: Node, at: Mark, where: str, problems: Problems) -> Any:  # noqa: ANN401
    """Validate `node` strictly, as JSON; return the value, or None after adding to `problems`.

    `at` is the place of the key that holds the node, `where` its dotted name.
    """
    try:
        return adapter.validate_json(json.dumps(plain(node)), strict=True)
    except ValidationError as error:
        found = [
            _locate(details, node, at, where)
            for details in islice(error.errors(include_url=False), limits.MAX_PROBLEMS)
        ]
        problems.extend(_problems(found, adapter))
        return None


def read_checked(path: Path, adapter: TypeAdapter[Any]) -> Any:  # noqa: ANN401
    """Read a YAML or JSON file, and validate it.

    Raises SpecError with every mistake, GraftError if it cannot be read.
    """
    problems = Problems()
    value = check(adapter, read_file(path, str(path)), Mark(str(path), 1, 1, ""), "", problems)
    problems.check()
    return value


@dataclass(frozen=True)
class _Located:
    """One pydantic error and its node: for a missing key, the mapping without it."""

    details: ErrorDetails
    node: Node
    mark: Mark
    where: str
    path: tuple[str | int, ...]


def _locate(details: ErrorDetails, node: Node, at: Mark, where: str) -> _Located:
    """Find the node of an error; parts of its location that are not keys name a branch of a union."""
    mark, path = at, []
    for part in details["loc"]:
        if isinstance(node, MapNode) and isinstance(part, str) and part in node.items:
            mark, node = node.keys[part], node.items[part]
        elif isinstance(node, ListNode) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            mark = node.mark
        else:
            continue
        path.append(part)
    return _Located(details, node, mark, ".".join([where, *map(str, path)]).strip("."), tuple(path))


def _problems(found: Sequence[_Located], adapter: TypeAdapter[Any]) -> list[Problem]:
    """Return the problems of errors: one for a value, however many branches of a union refused it."""
    by_node: dict[int, list[_Located]] = {}
    problems, misspelt = [], set()
    for located in found:
        if located.details["type"] in UNKNOWN:
            problems.append(_unknown_key(located, adapter))
            misspelt.add((problems[-1].where, problems[-1].suggestion))
    for located in found:
        kind, key = located.details["type"], "".join(map(str, located.details["loc"][-1:]))
        if kind in MISSING and (located.where, key) not in misspelt:
            expected = ", ".join(_keys_at(adapter, located.path))
            problems.append(Problem(located.mark, located.where, f"missing key '{key}'", expected))
        elif kind not in MISSING | UNKNOWN:
            by_node.setdefault(id(located.node), []).append(located)
    wrong = (group for group in by_node.values() if not _has_deeper(group[0], found))
    return problems + [_wrong_value(group, adapter) for group in wrong]


def _has_deeper(located: _Located, found: Sequence[_Located]) -> bool:
    """Return whether another branch of a union got further into the same value: its error is better."""
    depth = len(located.path)
    return any(len(other.path) > depth and other.path[:depth] == located.path for other in found)


def _unknown_key(located: _Located, adapter: TypeAdapter[Any]) -> Problem:
    key = str(located.path[-1])
    keys = _keys_at(adapter, located.path[:-1])
    where = located.where.removesuffix(key).removesuffix(".")
    expected, near = ", ".join(keys) or "no keys", nearest(key, keys)
    if key in INPUT_CHANNELS and "out" in keys:
        expected, near = f"{expected}; input channels follow from the layer before", ""
    return Problem(located.mark, where, f"unknown key '{key}'", expected, near)


def _wrong_value(group: Sequence[_Located], adapter: TypeAdapter[Any]) -> Problem:
    first = group[0]
    mark = first.node.mark if isinstance(first.node, Scalar | ListNode) else first.mark
    for located in group:
        if located.details["type"] in CUSTOM_MESSAGES:
            error = located.details.get("ctx", {}).get("error")
            return Problem(mark, first.where, str(error or located.details["msg"]))
    message = f"found {describe(first.node)}"
    expected = " or ".join(dict.fromkeys(_expected(located.details) for located in group))
    if not isinstance(first.node, MapNode) and expected == EXPECTED["model_type"]:
        examples = [branch["examples"][0] for branch in _at(adapter, first.path) if "examples" in branch]
        expected += f", such as {examples[0]}" if examples else ""
    if first.details["type"] == "unknown_call":
        name = _call_name(first.node)
        message = f"unknown {first.details['ctx']['kind']} '{name}'" if name else message
    return Problem(mark, first.where, message, expected, _suggestion(first))


def _expected(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if details["type"] in EXPECTED:
        return EXPECTED[details["type"]].format(**context)
    return details["msg"].removeprefix("Input should be ")


def _suggestion(located: _Located) -> str:
    context = located.details.get("ctx", {})
    if located.details["type"] == "unknown_call":
        return nearest(_call_name(located.node), str(context["names"]).split(", "))
    if located.details["type"] == "literal_error" and isinstance(located.node, Scalar):
        return nearest(str(located.node.value), str(context["expected"]).split("'")[1::2])
    return ""


def _call_name(node: Node) -> str:
    if isinstance(node, MapNode) and len(node.items) == 1:
        return next(iter(node.items))
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else ""


def _keys_at(adapter: TypeAdapter[Any], path: Sequence[str | int]) -> list[str]:
    """Return the keys that a JSON Schema allows at a path."""
    return list(dict.fromkeys(key for branch in _at(adapter, path) for key in branch.get("properties", ())))


def _at(adapter: TypeAdapter[Any], path: Sequence[str | int]) -> list[Mapping[str, Any]]:
    """Return the branches of a JSON Schema at a path."""
    root = adapter.json_schema()
    level = _branches(root, root)
    for part in path:
        children = (_child(branch, part) for branch in level)
        level = [branch for child in children if child for branch in _branches(root, child)]
    return level


def _child(branch: Mapping[str, Any], part: str | int) -> Mapping[str, Any] | None:
    child = branch.get("properties", {}).get(part)
    child = child or next(iter(branch.get("patternProperties", {}).values()), None)
    child = child or branch.get("additionalProperties") or branch.get("items")
    return child if isinstance(child, Mapping) else None


def _branches(root: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a schema and the schemas of its unions, references resolved."""
    if "$ref" in schema:
        return _branches(root, root["$defs"][schema["$ref"].rpartition("/")[2]])
    unions = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    return [schema, *(branch for part in unions for branch in _branches(root, part))]
