"""Validate one call of a registered function, `{op: {args}}` or bare `op`, against its signature."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from zoo.errors import Mark, Problem, nearest
from zoo.registry import Call, Entry, Registry
from zoo.spec.check import check
from zoo.spec.nodes import MapNode, Node, describe, plain, text_of

_args_seen: dict[tuple[Entry, str], dict[str, Any]] = {}  # a block's layers come again with every copy


def read_args(
    entry: Entry, node: Node, at: Mark, where: str, problems: list[Problem]
) -> dict[str, Any] | None:
    """Give every argument of a call, defaults included; None after adding to `problems`."""
    key = (entry, json.dumps(plain(node)))
    if key not in _args_seen:
        validated = check(TypeAdapter(entry.model), node, at, where, problems)
        if validated is None:
            return None
        _args_seen[key] = entry.args(validated)
    return _args_seen[key]


def read_call(registry: Registry, node: Node, where: str, problems: list[Problem]) -> Call | None:
    """Give the call that a node makes of a registry's function; None after adding to `problems`."""
    name, args, at = text_of(node), empty(node.mark), node.mark
    if isinstance(node, MapNode) and len(node.items) == 1:
        name = next(iter(node.items))
        at = node.keys[name]
        args = node.items[name]
    names = registry.names()
    if name is None:
        wanted = f"NAME or {{NAME: {{arguments}}}}, one of {', '.join(names)}"
        problems.append(Problem(node.mark, where, f"found {describe(node)}", wanted))
        return None
    if name not in registry:
        message = f"unknown {registry.kind} '{name}'"
        problems.append(Problem(at, where, message, ", ".join(names), nearest(name, names)))
        return None
    validated = read_args(registry[name], args, at, f"{where}.{name}", problems)
    return None if validated is None else Call(name, validated)


def empty(mark: Mark) -> Node:
    """Give the arguments of a bare name."""
    return MapNode({}, {}, mark)
