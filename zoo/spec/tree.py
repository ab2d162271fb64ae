"""An expanded network: every layer with its arguments, and every wire as the id of the value it carries.

The id of a value is the path of the item that returns it (`layer1.0.bn1`); a group's input is `PATH:input`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from zoo.errors import Mark

INPUT = ":input"


@dataclass(frozen=True)
class Leaf:
    """One layer: its module path, op and arguments; the ids of its inputs."""

    path: str
    name: str
    op: str
    args: dict[str, Any]
    sources: tuple[str, ...]
    mark: Mark


@dataclass(frozen=True)
class Group:
    """Named or listed children, run in order; `result` is the id of the output."""

    path: str
    name: str
    children: tuple[Item, ...]
    source: str
    result: str
    mark: Mark


Item: TypeAlias = "Leaf | Group"


@dataclass(frozen=True)
class Tree:
    """A whole network; `taps` holds the id of the value that each `as` names."""

    root: Group
    taps: dict[str, str]

    def module_path(self, name: str) -> str | None:
        """Return the path of a module that is named by path or by tap; None when there is none."""
        found = name if name in self.paths else self.taps.get(name)
        return found if found in self.paths else None

    @cached_property
    def paths(self) -> frozenset[str]:
        """The path of every layer and group."""
        return frozenset(item.path for item in items(self.root) if item.path)


def leaves(item: Item) -> Iterator[Leaf]:
    """Yield every layer at or below an item, in the order of execution."""
    if isinstance(item, Leaf):
        yield item
        return
    for child in item.children:
        yield from leaves(child)


def items(item: Item) -> Iterator[Item]:
    """Yield the item and all items below it, in the order of execution."""
    yield item
    if isinstance(item, Group):
        for child in item.children:
            yield from items(child)


def join(path: str, name: str) -> str:
    """Return the module path of a child."""
    return f"{path}.{name}" if path else name
