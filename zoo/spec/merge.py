"""`extends`, `include` and `set`: one mapping laid over another, key by key; null removes a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from zoo import limits
from zoo.errors import Mark, SpecError
from zoo.spec.items import op_key
from zoo.spec.nodes import MapNode, Node, Problems, Scalar, from_plain, is_null, plain
from zoo.spec.scalars import AmbiguousError, read_scalar
from zoo.spec.yaml import read_text

NETWORK_KEYS = ("choices", "blocks", "layers")
SHOWN = "SET"


def merge_documents(base: MapNode, over: MapNode) -> MapNode:
    """Lay a whole spec over another. In its network, a call of another op replaces the whole old call."""
    return _merge(base, over, depth=0, network=False)


def merge_items(base: Node, over: MapNode) -> Node:
    """Lay the keys beside `include` over the included item."""
    return _merge(base, over, depth=1, network=True) if isinstance(base, MapNode) else over


def _merge(base: MapNode, over: MapNode, depth: int, network: bool) -> MapNode:
    items, keys = dict(base.items), dict(base.keys)
    for key, node in over.items.items():
        inside = network or (depth == 0 and key in NETWORK_KEYS)
        if key not in items:
            items[key], keys[key] = node, over.keys[key]
        elif is_null(node):
            del items[key], keys[key]
        else:
            items[key] = _merge_node(items[key], node, depth + 1, inside)
            keys[key] = over.keys[key] if items[key] is node else keys[key]
    return replace(base, items=items, keys=keys)


def _merge_node(base: Node, over: Node, depth: int, network: bool) -> Node:
    if not isinstance(base, MapNode) or not isinstance(over, MapNode):
        return over
    # `layers`, `blocks` and `choices` themselves (depth 1) hold children, whatever their names are.
    if network and depth > 1 and _calls_another_op(base, over):
        return over
    return _merge(base, over, depth, network)


def _calls_another_op(base: MapNode, over: MapNode) -> bool:
    called = op_key(over)
    return bool(called) and called != op_key(base) and not is_null(over.items[called])


def read_overrides(given: Mapping[str, object]) -> list[MapNode]:
    """Return a mapping to lay over a spec for each dotted key. Raises SpecError for what cannot be read."""
    problems = Problems()
    overrides = [_override(key, value, problems) for key, value in given.items()]
    problems.check()
    return overrides


def _override(key: str, value: object, problems: Problems) -> MapNode:
    text = f"{key}={value}"
    at_key = Mark(SHOWN, 0, 1, text, len(key))
    at_value = Mark(SHOWN, 0, len(key) + 2, text, max(1, len(text) - len(key) - 1))
    first, *parts = key.split(".")
    if len(parts) > limits.MAX_DEPTH:
        problems.add(at_key, "", f"a key of {len(parts) + 1} parts", f"at most {limits.MAX_DEPTH}")
        parts = []
    if not all((first, *parts)):
        problems.add(at_key, "", f"'{key}' is not a dotted key", "a key such as finetune.epochs")
    node = _value(value, at_value, problems)
    for part in reversed(parts):
        node = MapNode({part: node}, {part: at_key}, at_key)
    return MapNode({first: node}, {first: at_key}, at_key)


def _value(value: object, mark: Mark, problems: Problems) -> Node:
    if isinstance(value, Path):
        return Scalar(str(value), mark)
    try:
        return from_plain(_read(value) if isinstance(value, str) else value, mark)
    except AmbiguousError as error:
        problems.add(mark, "", str(error), error.instead)
    except (TypeError, SpecError) as error:
        message = error.problems[0].message if isinstance(error, SpecError) else str(error)
        problems.add(mark, "", message, "a value as in a spec")
    return Scalar(None, mark)


def _read(text: str) -> object:
    """Read a text as a value of a spec: one word, or a list, mapping or quoted text as YAML writes them."""
    if text[:1] in ("{", "[", '"', "'"):
        return plain(read_text(f"value: {text}", SHOWN).items["value"])
    return read_scalar(text)
