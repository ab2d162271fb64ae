"""Validate nodes with pydantic; tell its errors by place: unknown key, missing key, wrong type, bad value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from zoo.errors import Mark, Problem, nearest
from zoo.spec.nodes import ListNode, MapNode, Node, Scalar, describe, plain

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
SAID_BY_VALIDATOR = frozenset({"value_error", "assertion_error", "call_needs"})


def check(adapter: TypeAdapter[Any], node: Node, at: Mark, where: str, problems: list[Problem]) -> Any:  # noqa: ANN401
    """Validate `node` strictly, as JSON is validated; give the value, or None after adding to `problems`.

    `at` is the place of the key that holds the node, `where` its dotted name.
    """
    try:
        return adapter.validate_json(json.dumps(plain(node)), strict=True)
    except ValidationError as error:
        found = [_locate(details, node, at, where) for details in error.errors(include_url=False)]
        problems.extend(_tell(found, adapter))
        return None


@dataclass(frozen=True)
class _Located:
    """One pydantic error and the node it is about: for a missing key, the mapping that lacks it."""

    details: ErrorDetails
    node: Node
    mark: Mark
    where: str
    path: tuple[str | int, ...]


def _locate(details: ErrorDetails, node: Node, at: Mark, where: str) -> _Located:
    """Walk to the node of an error; parts of its location that no key bears name a branch of a union."""
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


def _tell(found: Sequence[_Located], adapter: TypeAdapter[Any]) -> list[Problem]:
    """Turn errors into problems: one for a value, however many branches of a union refused it."""
    by_node: dict[int, list[_Located]] = {}
    unknown, missing = _keys_of_type(UNKNOWN, found), _keys_of_type(MISSING, found)
    problems = [_unknown_problem(located, adapter) for located in unknown]
    misspelt = {(problem.where, problem.suggestion) for problem in problems}
    problems += [
        _missing_problem(located, adapter)
        for located in missing
        if (located.where, str(located.details["loc"][-1])) not in misspelt
    ]
    for located in found:
        if located not in (*unknown, *missing):
            by_node.setdefault(id(located.node), []).append(located)
    for group in by_node.values():
        if not _has_deeper(group[0], found):
            problems.append(_value_problem(group))
    return problems


def _has_deeper(located: _Located, found: Sequence[_Located]) -> bool:
    """Say whether another branch of a union got further into the same value: its complaint is better."""
    depth = len(located.path)
    return any(len(other.path) > depth and other.path[:depth] == located.path for other in found)


def _keys_of_type(kinds: frozenset[str], found: Sequence[_Located]) -> list[_Located]:
    return [located for located in found if located.details["type"] in kinds]


def _missing_problem(located: _Located, adapter: TypeAdapter[Any]) -> Problem:
    keys = _keys_at(adapter.json_schema(), located.path)
    message = f"missing key '{located.details['loc'][-1]}'"
    return Problem(located.mark, located.where, message, ", ".join(keys))


def _unknown_problem(located: _Located, adapter: TypeAdapter[Any]) -> Problem:
    key = str(located.path[-1])
    keys = _keys_at(adapter.json_schema(), located.path[:-1])
    where = located.where.removesuffix(key).removesuffix(".")
    expected = ", ".join(keys) or "no keys"
    return Problem(located.mark, where, f"unknown key '{key}'", expected, nearest(key, keys))


def _value_problem(group: Sequence[_Located]) -> Problem:
    first = group[0]
    mark = first.node.mark if isinstance(first.node, Scalar | ListNode) else first.mark
    for located in group:
        if located.details["type"] in SAID_BY_VALIDATOR:
            error = located.details.get("ctx", {}).get("error")
            return Problem(mark, first.where, str(error or located.details["msg"]))
    message = f"found {describe(first.node)}"
    wanted = list(dict.fromkeys(_expected(located.details) for located in group))
    suggestion = _suggestion(first)
    if first.details["type"] == "unknown_call":
        context = first.details["ctx"]
        name = _call_name(first.node)
        message = f"unknown {context['kind']} '{name}'" if name else message
    return Problem(mark, first.where, message, " or ".join(wanted), suggestion)


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


def _keys_at(schema: Mapping[str, Any], path: Sequence[str | int]) -> list[str]:
    """Give the keys that a JSON Schema allows at a path."""
    found: dict[str, None] = {}
    for branch in _branches_at(schema, [schema], path):
        found.update(dict.fromkeys(branch.get("properties", ())))
    return list(found)


def _branches_at(
    root: Mapping[str, Any], schemas: Sequence[Mapping[str, Any]], path: Sequence[str | int]
) -> list[Mapping[str, Any]]:
    level = [branch for schema in schemas for branch in _unions(root, schema)]
    if not path:
        return level
    below = []
    for branch in level:
        child = branch.get("properties", {}).get(path[0])
        child = child or next(iter(branch.get("patternProperties", {}).values()), None)
        child = child or branch.get("additionalProperties") or branch.get("items")
        if isinstance(child, Mapping):
            below.append(child)
    return _branches_at(root, below, path[1:])


def _unions(root: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Follow references and spread unions."""
    if "$ref" in schema:
        return _unions(root, root["$defs"][schema["$ref"].rpartition("/")[2]])
    spread = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    return [schema, *(branch for part in spread for branch in _unions(root, part))]


def adapter_of(model: type[BaseModel] | TypeAdapter[Any]) -> TypeAdapter[Any]:
    """Give a TypeAdapter for a model class, or the adapter itself."""
    return model if isinstance(model, TypeAdapter) else TypeAdapter(model)
