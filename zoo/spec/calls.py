"""Validate one call of a registered function, `{op: {args}}` or bare `op`, against its signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.errors import Mark
from zoo.registry import Call, Entry, Registry
from zoo.spec.check import check
from zoo.spec.nodes import MapNode, Node, Problems, text_of


def read_args(entry: Entry, node: Node, at: Mark, where: str, problems: Problems) -> dict[str, Any] | None:
    """Return every argument of a call, defaults included; None after adding to `problems`."""
    validated = check(entry.adapter, node, at, where, problems)
    return None if validated is None else entry.args(validated)


def read_call(
    registry: Registry, node: Node, where: str, problems: Problems, names: Sequence[str] = ()
) -> Call | None:
    """Return a node's call of a registered function; None after adding to `problems`.

    `names` are those that messages list, without any those of the registry.
    """
    name, args, at = text_of(node), no_arguments(node.mark), node.mark
    if isinstance(node, MapNode) and len(node.items) == 1:
        ((name, args),) = node.items.items()
        at = node.keys[name]
    names = names or registry.names()
    if name is None:
        problems.wrong_value(node, where, f"NAME or {{NAME: {{arguments}}}}, one of {', '.join(names)}")
        return None
    if name not in registry:
        problems.unknown(f"{registry.kind} {name}", at, where, names)
        return None
    validated = read_args(registry[name], args, at, f"{where}.{name}", problems)
    return None if validated is None else Call(name, validated)


def no_arguments(mark: Mark) -> Node:
    """Return the arguments of a bare name."""
    return MapNode({}, {}, mark)
