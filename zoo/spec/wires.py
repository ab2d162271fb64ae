"""Wires: what the names in `from` mean at a point of the network."""

from __future__ import annotations

from dataclasses import dataclass, field

from zoo.errors import Mark, Problem, nearest
from zoo.spec.nodes import ListNode, Node, describe, text_of

INPUT_NAME = "input"


@dataclass
class Line:
    """Where the writing out of one group stands: the value just made, and the names that can be taken."""

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
    """The taps of a whole network, and the names that none answered to."""

    def __init__(self, problems: list[Problem]) -> None:
        self.taps: dict[str, str] = {}
        self._marks: dict[str, Mark] = {}
        self._unresolved: list[_Unresolved] = []
        self._problems = problems

    def sources(self, wanted: Node | None, line: Line, where: str) -> tuple[str, ...]:
        """Give the ids of the values that `from` names; without it, the value just made."""
        if wanted is None:
            return (line.value,)
        names = wanted.items if isinstance(wanted, ListNode) else (wanted,)
        if not names:
            self._problems.append(Problem(wanted.mark, f"{where}.from", "names nothing", "one name or more"))
        return tuple(self._source(name, line, where) for name in names)

    def tap(self, named: Node, value: str, where: str) -> None:
        """Let later layers take `value` by the name that `as` gives."""
        name = text_of(named)
        if not name or name == INPUT_NAME:
            found = f"found {describe(named)}"
            self._problems.append(Problem(named.mark, f"{where}.as", found, "a new name"))
        elif name in self.taps:
            message = f"the tap '{name}' is made twice, first at line {self._marks[name].line}"
            self._problems.append(Problem(named.mark, f"{where}.as", message, "a new name"))
        else:
            self.taps[name], self._marks[name] = value, named.mark

    def close(self) -> None:
        """Report the names that nothing answered to, now that every tap is known."""
        for lost in self._unresolved:
            if lost.name in lost.later or lost.name in self.taps:
                message = f"'{lost.name}' comes later, so this would be a cycle"
                expected = "something above: layers run in the order written"
                self._problems.append(Problem(lost.mark, lost.where, message, expected))
                continue
            known = [INPUT_NAME, *lost.names]
            message = f"nothing is called '{lost.name}'"
            near = nearest(lost.name, known)
            self._problems.append(Problem(lost.mark, lost.where, message, ", ".join(known), near))

    def _source(self, node: Node, line: Line, where: str) -> str:
        name = text_of(node)
        if name is None:
            found = f"found {describe(node)}"
            self._problems.append(Problem(node.mark, f"{where}.from", found, "a name, or a list of names"))
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
