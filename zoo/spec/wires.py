"""Wires: what the names in `from` mean at a point of the network."""

from __future__ import annotations

from dataclasses import dataclass, field

from zoo.errors import Mark, nearest
from zoo.spec.nodes import ListNode, Node, Problems, text_of

INPUT_NAME = "input"


@dataclass
class Line:
    """The state within one group: the latest value, the group's input, and the values that have names."""

    value: str
    input: str
    names: dict[str, str] = field(default_factory=dict)
    later: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Unresolved:
    name: str
    mark: Mark
    where: str
    names: tuple[str, ...]
    later: frozenset[str]


class Wires:
    """The taps of a whole network, and the names in `from` that could not be resolved yet."""

    def __init__(self, problems: Problems) -> None:
        self.taps: dict[str, str] = {}
        self._marks: dict[str, Mark] = {}
        self._unresolved: list[_Unresolved] = []
        self._problems = problems

    def sources(self, wanted: Node | None, line: Line, where: str) -> tuple[str, ...]:
        """Return the ids of the values that `from` names; without it, the latest value."""
        if wanted is None:
            return (line.value,)
        names = wanted.items if isinstance(wanted, ListNode) else (wanted,)
        if not names:
            self._problems.add(wanted.mark, f"{where}.from", "the list is empty", "a name or more")
        return tuple(self._source(name, line, where) for name in names)

    def tap(self, named: Node, value: str, where: str) -> None:
        """Give `value` the name in `as`, which any later layer may use."""
        name = text_of(named)
        where = f"{where}.as"
        if not name or name == INPUT_NAME:
            self._problems.wrong_value(named, where, "a new name")
        elif name in self.taps:
            message = f"the tap '{name}' is already declared at line {self._marks[name].line}"
            self._problems.add(named.mark, where, message, "a new name")
        else:
            self.taps[name], self._marks[name] = value, named.mark

    def close(self) -> None:
        """Report the names that could not be resolved, now that every tap is known."""
        for lost in self._unresolved:
            if lost.name in lost.later or lost.name in self.taps:
                message = f"'{lost.name}' comes later, so this would be a cycle"
                expected = "a name above this line: layers run in the order written"
                self._problems.add(lost.mark, lost.where, message, expected)
                continue
            known = [INPUT_NAME, *lost.names]
            message = f"no layer or tap is called '{lost.name}'"
            near = nearest(lost.name, known)
            self._problems.add(lost.mark, lost.where, message, ", ".join(known), near)

    def _source(self, node: Node, line: Line, where: str) -> str:
        name = text_of(node)
        if name is None:
            self._problems.wrong_value(node, f"{where}.from", "a name, or a list of names")
            return line.value
        if name == INPUT_NAME:
            return line.input
        if name in line.names:
            return line.names[name]
        if name in self.taps:
            return self.taps[name]
        known = tuple(dict.fromkeys([*line.names, *self.taps]))
        self._unresolved.append(_Unresolved(name, node.mark, f"{where}.from", known, line.later))
        return line.value
