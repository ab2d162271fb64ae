"""Find which values stay within their group, and which pass from group to group as taps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zoo.builder.graph import Step, Wiring
from zoo.spec.tree import INPUT, Group, Item


@dataclass(frozen=True)
class Routes:
    """Ids of values that are used in their own group or in others, and the groups that taps pass through."""

    kept: frozenset[str]
    tapped: frozenset[str]
    wired: frozenset[str]

    def is_chain(self, group: Group) -> bool:
        """Return whether every child has the latest value as its input, and no value is used elsewhere."""
        before = group.path + INPUT
        if before in self.kept or before in self.tapped:
            return False
        for child in group.children:
            here = child.path
            if _sources(child) != (before,) or here in self.kept or here in self.tapped or here in self.wired:
                return False
            before = here
        return group.result == before

    def of(self, group: Group) -> tuple[list[Step], Wiring]:
        """Return the steps of a group, and its wiring."""
        own_input = group.path + INPUT
        before = own_input
        steps = []
        for child in group.children:
            sources = _sources(child)
            steps.append(
                Step(
                    name=child.name,
                    reads=None if sources == (before,) else sources,
                    keep=child.path in self.kept,
                    tap=child.path in self.tapped,
                    wired=child.path in self.wired,
                    id=child.path,
                )
            )
            before = child.path
        result = None if group.result == before else group.result
        return steps, Wiring(own_input, own_input in self.kept, own_input in self.tapped, result)


def routes_of(tree: Group) -> Routes:
    """Return the routes of every wire of a tree."""
    owner: dict[str, str] = {}
    for group in _groups(tree):
        owner[group.path + INPUT] = group.path
        owner.update((child.path, group.path) for child in group.children)
    kept, tapped, ends = set(), set(), set()
    for group in _groups(tree):
        for taken in _taken_by_name(group):
            if owner[taken] == group.path:
                kept.add(taken)
            else:
                tapped.add(taken)
                ends |= {owner[taken], group.path}
    return Routes(frozenset(kept), frozenset(tapped), frozenset(_above(ends)))


def _taken_by_name(group: Group) -> Iterator[str]:
    """Yield the ids that a group's children and result name, not those of the latest value."""
    before = group.path + INPUT
    for child in group.children:
        sources = _sources(child)
        if sources != (before,):
            yield from sources
        before = child.path
    if group.result != before:
        yield group.result


def _sources(item: Item) -> tuple[str, ...]:
    return (item.source,) if isinstance(item, Group) else item.sources


def _groups(group: Group) -> Iterator[Group]:
    yield group
    for child in group.children:
        if isinstance(child, Group):
            yield from _groups(child)


def _above(paths: set[str]) -> set[str]:
    """Return the paths and those of all groups around them."""
    found = set()
    for path in paths:
        parts = path.split(".")
        found |= {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return found
