"""A network written out: every layer with its arguments, and every wire as the id of the value it carries.

A value's id is the path of the item that gives it (`layer1.0.bn1`); what goes into a group is `PATH:input`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from zoo.errors import Mark

INPUT = ":input"


@dataclass(frozen=True)
class Leaf:
    """One layer: its module path, op and arguments; the ids of the values it takes."""

    path: str
    name: str
    op: str
    args: dict[str, Any]
    sources: tuple[str, ...]
    mark: Mark


@dataclass(frozen=True)
class Group:
    """Named or listed children, run in order; `result` is the id of the value that leaves it."""

    path: str
    name: str
    children: tuple[Item, ...]
    source: str
    result: str
    mark: Mark


Item: TypeAlias = "Leaf | Group"


@dataclass(frozen=True)
class Tree:
    """A whole network written out; `taps` holds the id of the value that each `as` names."""

    root: Group
    taps: dict[str, str]

    def module_path(self, name: str) -> str | None:
        """Give the path of a module, itself given by path or by tap; None when there is none."""
        paths = {item.path for item in items(self.root) if item.path}
        found = name if name in paths else self.taps.get(name)
        return found if found in paths else None


def leaves(item: Item) -> Iterator[Leaf]:
    """Give every layer at or below an item, in the order of execution."""
    if isinstance(item, Leaf):
        yield item
        return
    for child in item.children:
        yield from leaves(child)


def items(item: Item) -> Iterator[Item]:
    """Give the item and all below it, in the order of execution."""
    yield item
    if isinstance(item, Group):
        for child in item.children:
            yield from items(child)


def join(path: str, name: str) -> str:
    """Give the module path of a child."""
    return f"{path}.{name}" if path else name
