"""Wires: what the names in `from` mean at a point of the network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from zoo import limits
from zoo.errors import Mark, Problem, nearest
from zoo.spec.nodes import ListNode, Node, Problems, text_of

INPUT_NAME = "input"


@dataclass
class Line:
    """The state within one group: the latest value, the group's input, and the values that have names."""

    value: str
    input: str
    names: dict[str, str] = field(default_factory=dict)
    later: frozenset[str] = frozenset()


class Wires:
    """The taps of a whole network, and the names in `from` that could not be resolved yet."""

    def __init__(self, problems: Problems) -> None:
        self.taps: dict[str, str] = {}
        self._marks: dict[str, Mark] = {}
        self._unresolved: list[tuple[str, Problem, frozenset[str]]] = []
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
        for name, problem, later in self._unresolved:
            if name not in later and name not in self.taps:
                self._problems.append(problem)
                continue
            message = f"'{name}' comes later, so this would be a cycle"
            expected = "a name above this line: layers run in the order written"
            self._problems.append(replace(problem, message=message, expected=expected, suggestion=""))

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
        known, message = [INPUT_NAME, *line.names, *self.taps], f"no layer or tap is called '{name}'"
        expected = ", ".join(dict.fromkeys(known))
        problem = Problem(node.mark, f"{where}.from", message, expected, nearest(name, known))
        self._unresolved.append((name, problem, line.later))
        if len(self._unresolved) > limits.MAX_PROBLEMS:
            self.close()
        return line.value
