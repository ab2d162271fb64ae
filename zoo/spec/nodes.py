"""Values that remember where they were written, so that every step can report places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

from zoo import limits
from zoo.errors import Mark, Problem, SpecError, nearest

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"


@dataclass(frozen=True, eq=False)
class Scalar:
    """A text, number, truth value or null."""

    value: str | int | float | bool | None
    mark: Mark
    size = 1
    depth = 0


@dataclass(frozen=True, eq=False)
class ListNode:
    """A list of nodes."""

    items: tuple[Node, ...]
    mark: Mark

    @cached_property
    def size(self) -> int:
        """The number of values, this one and all below it; one that stands in two places counts twice."""
        return 1 + sum(item.size for item in self.items)

    @cached_property
    def depth(self) -> int:
        """How many lists and mappings are within each other, this one included."""
        return 1 + max((item.depth for item in self.items), default=0)


@dataclass(frozen=True, eq=False)
class MapNode:
    """A mapping, in the order written; `keys` holds the place of each key."""

    items: dict[str, Node]
    keys: dict[str, Mark]
    mark: Mark = field(default_factory=lambda: Mark("", 0, 1, ""))

    @cached_property
    def size(self) -> int:
        """The number of values, as of a list."""
        return 1 + sum(item.size for item in self.items.values())

    @cached_property
    def depth(self) -> int:
        """How many lists and mappings are within each other, as of a list."""
        return 1 + max((item.depth for item in self.items.values()), default=0)

    def get(self, key: str) -> Node | None:
        """Return the node under `key`, or None."""
        return self.items.get(key)

    def without(self, *names: str) -> MapNode:
        """Return the same mapping without some keys."""
        kept = {key: node for key, node in self.items.items() if key not in names}
        return replace(self, items=kept, keys={key: self.keys[key] for key in kept})

    def having(self, key: str, node: Node) -> MapNode:
        """Return the same mapping with `key` set, in its old place if it had one."""
        keys = {**self.keys, key: self.keys.get(key, node.mark)}
        return replace(self, items={**self.items, key: node}, keys=keys)


Node: TypeAlias = "Scalar | ListNode | MapNode"


def plain(node: Node) -> Plain:
    """Return the plain Python values of a node."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return {key: plain(item) for key, item in node.items.items()}


def from_plain(value: object, mark: Mark) -> Node:
    """Return nodes of plain Python values, all placed at `mark`. Raises TypeError for other values."""
    if value is None or isinstance(value, str | int | float | bool):
        return Scalar(value, mark)
    if isinstance(value, list | tuple):
        return ListNode(tuple(from_plain(item, mark) for item in value), mark)
    if isinstance(value, dict):
        items = {str(key): from_plain(item, mark) for key, item in value.items()}
        return MapNode(items, dict.fromkeys(items, mark), mark)
    raise TypeError(f"a spec cannot hold a value of type {type(value).__name__}")


def text_of(node: Node | None) -> str | None:
    """Return the text of a text scalar, else None."""
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else None


def is_null(node: Node) -> bool:
    """Return whether a node is null."""
    return isinstance(node, Scalar) and node.value is None


def describe(node: Node) -> str:
    """Describe what a node holds, as in 'found the text 'wide''."""
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
    """Yield the node and all nodes below it."""
    yield node
    below = node.items if isinstance(node, ListNode) else ()
    for child in node.items.values() if isinstance(node, MapNode) else below:
        yield from walk(child)


def wrong_value(node: Node, where: str, expected: str) -> Problem:
    """Return the problem of a value of the wrong kind."""
    return Problem(node.mark, where, f"found {describe(node)}", expected)


class Problems(list[Problem]):
    """The problems of a document, collected while it is read: up to a limit, at which SpecError is raised."""

    def append(self, problem: Problem) -> None:
        """Add a problem."""
        super().append(problem)
        if len(self) >= limits.MAX_PROBLEMS:
            raise SpecError(self)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add problems."""
        for problem in problems:
            self.append(problem)

    def add(self, mark: Mark, where: str, message: str, expected: str = "", suggestion: str = "") -> None:
        """Add a problem."""
        self.append(Problem(mark, where, message, expected, suggestion))

    def wrong_value(self, node: Node, where: str, expected: str) -> None:
        """Add the problem of a value of the wrong kind."""
        self.append(wrong_value(node, where, expected))

    def unknown(self, what: str, mark: Mark, where: str, known: Sequence[str], expected: str = "") -> None:
        """Add the problem of a name that is none of those known; `what` ends with it: `key lr`."""
        kind, _, name = what.partition(" ")
        self.add(mark, where, f"unknown {kind} '{name}'", expected or ", ".join(known), nearest(name, known))

    def unknown_keys(self, node: MapNode, known: Sequence[str], where: str) -> None:
        """Add a problem for every key of a mapping that is none of those known."""
        for key in node.items:
            if key not in known:
                self.unknown(f"key {key}", node.keys[key], where, known)

    def check(self) -> None:
        """Raise SpecError if there are problems."""
        if self:
            raise SpecError(self)
