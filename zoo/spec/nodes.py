"""Values that remember where they were written: what the reader gives and every later step reports by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from zoo.errors import Mark

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"


@dataclass(frozen=True, eq=False)
class Scalar:
    """A text, number, truth value or null."""

    value: str | int | float | bool | None
    mark: Mark


@dataclass(frozen=True, eq=False)
class ListNode:
    """A list of nodes."""

    items: tuple[Node, ...]
    mark: Mark


@dataclass(frozen=True, eq=False)
class MapNode:
    """A mapping, in the order written; `keys` holds the place of each key."""

    items: dict[str, Node]
    keys: dict[str, Mark]
    mark: Mark = field(default_factory=lambda: Mark("", 0, 1, ""))

    def get(self, key: str) -> Node | None:
        """Give the node under `key`, or None."""
        return self.items.get(key)

    def without(self, *names: str) -> MapNode:
        """Give the same mapping, less some keys."""
        kept = {key: node for key, node in self.items.items() if key not in names}
        return replace(self, items=kept, keys={key: self.keys[key] for key in kept})

    def having(self, key: str, node: Node) -> MapNode:
        """Give the same mapping with `key` set (in its old place where it had one)."""
        keys = {**self.keys, key: self.keys.get(key, node.mark)}
        return replace(self, items={**self.items, key: node}, keys=keys)


Node: TypeAlias = "Scalar | ListNode | MapNode"


def plain(node: Node) -> Plain:
    """Strip the places: give plain Python values."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return {key: plain(item) for key, item in node.items.items()}


def from_plain(value: object, mark: Mark) -> Node:
    """Make nodes of plain Python values, all placed at `mark`. Raises TypeError for other values."""
    if value is None or isinstance(value, str | int | float | bool):
        return Scalar(value, mark)
    if isinstance(value, list | tuple):
        return ListNode(tuple(from_plain(item, mark) for item in value), mark)
    if isinstance(value, dict):
        items = {str(key): from_plain(item, mark) for key, item in value.items()}
        return MapNode(items, dict.fromkeys(items, mark), mark)
    raise TypeError(f"a spec holds no {type(value).__name__}")


def text_of(node: Node | None) -> str | None:
    """Give the text of a text scalar, else None."""
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else None


def is_null(node: Node) -> bool:
    """Say whether nothing stands in a node."""
    return isinstance(node, Scalar) and node.value is None


def describe(node: Node) -> str:
    """Say in words what a node holds, as in 'found the text 'wide''."""
    if isinstance(node, ListNode):
        return "a list"
    if isinstance(node, MapNode):
        return "a mapping"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    return f"the text '{node.value}'" if isinstance(node.value, str) else f"the number {node.value}"


def walk(node: Node) -> Iterator[Node]:
    """Give the node and all below it."""
    yield node
    below = node.items if isinstance(node, ListNode) else ()
    for child in node.items.values() if isinstance(node, MapNode) else below:
        yield from walk(child)
