"""Expand a network: blocks, repeats, slots and wires become a tree of plain layers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, NoReturn

from zoo import limits
from zoo.errors import Mark, Problem, SpecError
from zoo.registry import Call
from zoo.spec.blocks import Block, check_size, substitute
from zoo.spec.calls import no_arguments, read_args
from zoo.spec.choices import Choices
from zoo.spec.items import (
    MODULE_NAMES,
    NONE,
    PARAMETRISATIONS,
    RESERVED,
    SLOTS,
    WIRES,
    misspelt_op,
    op_key,
    ops,
)
from zoo.spec.nodes import ListNode, MapNode, Node, Problems, Scalar, text_of
from zoo.spec.tree import INPUT, Group, Item, Leaf, Tree, join
from zoo.spec.uses import Copies, Entry, Scope, read_use
from zoo.spec.wires import INPUT_NAME, Line, Wires

CHILD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
ITEM = "an op, a slot, {use: BLOCK}, or named or listed children"
INPUT_DROP = "input_drop"


class _Written(NamedTuple):
    """A call as written in the file."""

    name: str
    args: Node
    mark: Mark


def expand(
    layers: Node, blocks: Mapping[str, Block], choices: Choices, classes: Node, problems: Problems
) -> Tree:
    """Expand the section `layers`; adds to `problems`, after which the tree is not complete."""
    return _Expander(blocks, choices, classes, problems, Wires(problems)).network(layers)


@dataclass
class _Expander:
    """Holds what is the same for the whole network, and collects its taps and problems."""

    blocks: Mapping[str, Block]
    choices: Choices
    classes: Node
    problems: Problems
    wires: Wires
    count: int = 0
    depth: int = 0
    arguments: int = 0

    def network(self, layers: Node) -> Tree:
        scope = Scope("layers", {"classes": self.classes})
        entries = self._entries(layers, scope) if isinstance(layers, MapNode | ListNode) else []
        if isinstance(layers, Scalar):
            self.problems.wrong_value(layers, "layers", "named or listed layers")
        elif not entries:
            self.problems.add(layers.mark, "layers", "there are no layers", "named or listed layers")
        for wire in WIRES:
            if isinstance(layers, MapNode) and wire in layers.items:
                message = f"the network cannot have '{wire}'"
                self.problems.add(layers.keys[wire], "layers", message, "named layers")
        if self.choices.input_drop.op != NONE:
            entries.insert(0, Entry(INPUT_DROP, Scalar(INPUT_DROP, layers.mark), layers.mark, scope))
        line = Line(INPUT, INPUT)
        children = self._children(entries, "", line)
        self.wires.close()
        return Tree(Group("", "", children, INPUT, line.value, layers.mark), self.wires.taps)

    def _children(self, entries: Sequence[Entry], path: str, line: Line) -> tuple[Item, ...]:
        line.later = frozenset(entry.name for entry in entries if not entry.name.isdigit())
        children: list[Item] = []
        listed = bool(entries) and entries[0].name.isdigit()
        for entry in entries:
            name = str(len(children)) if listed else entry.name  # `none` takes no index
            item = self._item(replace(entry, name=name), path, line)
            if not listed:
                line.names[entry.name] = line.value
            if entry.named:
                self.wires.tap(entry.named, line.value, entry.scope.where)
            if item:
                children.append(item)
        return tuple(children)

    def _entries(self, node: MapNode | ListNode, scope: Scope) -> list[Entry]:
        """Return the children of a mapping by name, those of a list by number, blocks expanded in place."""
        if isinstance(node, ListNode):
            flat = [entry for item in node.items for entry in self._spliced(item, scope)]
            return [replace(entry, name=str(index)) for index, entry in enumerate(flat)]
        entries = []
        for key, item in node.items.items():
            if key in WIRES:
                continue
            if not CHILD_NAME.fullmatch(key) or key in (INPUT_NAME, *RESERVED):
                message = f"'{key}' cannot be the name of a layer"
                expected = "letters, digits and underscores that are not a key of the spec language"
                self.problems.add(node.keys[key], scope.where, message, expected)
                continue
            where = join(scope.where, key)
            self._check_path(where, node.keys[key], where)
            if key in MODULE_NAMES:
                message = f"'{key}' is an attribute of every torch module"
                self.problems.add(node.keys[key], where, message, f"another name, such as {key}1")
                continue
            entries.append(Entry(key, item, node.keys[key], replace(scope, where=where)))
        return entries

    def _spliced(self, item: Node, scope: Scope) -> list[Entry]:
        """Return an item of a list; for a block, the items of its copies, with its wires at the ends."""
        if not isinstance(item, MapNode) or op_key(item) != "use":
            return [Entry("0", item, item.mark, scope)]
        copies = self._use(item, scope)
        if copies is None:
            return []
        if copies.names is not None:
            expected = "names in a use under a key"
            self.problems.add(item.keys["names"], scope.where, "names inside a list", expected)
        entries: list[Entry] = []
        for body, inside in copies.bodies:
            if isinstance(body, ListNode):
                entries += [entry for below in body.items for entry in self._spliced(below, inside)]
            else:
                entries.append(Entry("0", body, item.mark, inside))
        wanted, named = self._wires_of(item, scope)
        if entries and wanted:
            entries[0] = replace(entries[0], wanted=wanted)
        if entries and named:
            entries[-1] = replace(entries[-1], named=named)
        return entries

    def _use(self, node: MapNode, scope: Scope) -> Copies | None:
        copies = read_use(node, scope, self.blocks, self.classes, self.problems)
        self.count += len(copies.bodies) if copies else 0
        self._limit(node.mark, scope.where)
        return copies

    def _item(self, entry: Entry, path: str, line: Line) -> Item | None:
        """Expand one child and advance `line` to its value. None for what adds no module."""
        node, scope = entry.node, entry.scope
        if isinstance(node, Scalar):
            node = substitute(node, scope.params, scope.where, self.problems)
        text = text_of(node)
        if text is not None:
            return self._call(entry, _Written(text, no_arguments(node.mark), node.mark), path, line)
        if isinstance(node, ListNode):
            return self._group(entry, self._entries(node, scope), path, line, keep_input=True)
        if isinstance(node, Scalar):
            self.problems.wrong_value(node, scope.where, ITEM)
            return None
        wanted, named = self._wires_of(node, scope)
        entry = replace(entry, wanted=entry.wanted or wanted)
        item = self._mapping(entry, node, path, line)
        if named:
            self.wires.tap(named, line.value, scope.where)
        return item

    def _mapping(self, entry: Entry, node: MapNode, path: str, line: Line) -> Item | None:
        op = op_key(node)
        if op == "use":
            return self._used(entry, node, path, line)
        op = op or misspelt_op(node)
        if op:
            for key in node.items:
                if key not in (op, *WIRES):
                    expected = f"{op} and, beside it, {' or '.join(WIRES)}"
                    self.problems.unknown(f"key {key}", node.keys[key], entry.scope.where, WIRES, expected)
            return self._call(entry, _Written(op, node.items[op], node.keys[op]), path, line)
        if all(key in WIRES for key in node.items):
            self.problems.add(node.mark, entry.scope.where, "found no layer", ITEM)
            return None
        return self._group(entry, self._entries(node, entry.scope), path, line)

    def _used(self, entry: Entry, node: MapNode, path: str, line: Line) -> Item | None:
        """Expand a block under a key: its body itself, or a group of its copies."""
        copies = self._use(node, entry.scope)
        if copies is None:
            return None
        if copies.names is not None:
            entries = [
                Entry(copies.names.replace("{n}", str(index)), body, node.mark, scope)
                for index, (body, scope) in enumerate(copies.bodies, start=1)
            ]
            return self._group(entry, entries, path, line)
        if copies.repeated:
            flat = self._spliced(node.without(*WIRES), entry.scope)
            numbered = [replace(below, name=str(index)) for index, below in enumerate(flat)]
            return self._group(entry, numbered, path, line, keep_input=True)
        body, scope = copies.bodies[0]
        return self._item(Entry(entry.name, body, node.mark, scope, entry.wanted), path, line)

    def _group(
        self, entry: Entry, entries: Sequence[Entry], path: str, line: Line, *, keep_input: bool = False
    ) -> Group:
        """Expand children under a name. In a list, `input` stays that of the mapping around it."""
        sources = self.wires.sources(entry.wanted, line, entry.scope.where)
        self._check_one("a group", sources, (entry.wanted or entry).mark, entry.scope.where)
        below = join(path, entry.name)
        self._check_path(below, entry.mark, entry.scope.where)
        inside = Line(below + INPUT, line.input if keep_input else below + INPUT)
        self.depth += 1
        if self.depth > limits.MAX_DEPTH:
            message = f"nested more than {limits.MAX_DEPTH} levels deep"
            self._refuse(entry.mark, entry.scope.where, message, "fewer levels")
        children = self._children(entries, below, inside)
        self.depth -= 1
        line.value = below
        return Group(below, entry.name, children, (*sources, INPUT)[0], inside.value, entry.mark)

    def _call(self, entry: Entry, written: _Written, path: str, line: Line) -> Leaf | None:
        where, at = entry.scope.where, written.mark
        self.count += 1
        self._limit(at, where)
        sources = self.wires.sources(entry.wanted, line, where)
        call = self._resolve(written, entry.scope)
        if call is None:
            line.value = sources[0] if sources else line.value
            return None
        if call.op in (NONE, *PARAMETRISATIONS):
            self._check_one(f"'{written.name}'", sources, at, where)
            line.value = (*sources, line.value)[0]
            return None
        fewest, most = ops()[call.op].arity
        if 0 < len(sources) < fewest or (most is not None and len(sources) > most):
            takes = "1 input" if most == 1 else f"{fewest} inputs" + ("" if most else " or more")
            message = f"takes {takes}, found {len(sources)}"
            self.problems.add(at, f"{where}.{call.op}", message, f"{takes} in from")
        line.value = join(path, entry.name)
        return Leaf(line.value, entry.name, call.op, call.args, sources, at)

    def _resolve(self, written: _Written, scope: Scope) -> Call | None:
        """Return the call of a name: a slot's choice, or the op with its arguments checked."""
        name, args, at = written
        if name in (*SLOTS, INPUT_DROP, NONE):
            if not isinstance(args, MapNode) or args.items:
                message = f"'{name}' takes no arguments"
                self.problems.add(at, scope.where, message, f"arguments in choices.{name}, or an op")
            return Call(NONE, {}) if name == NONE else self.choices.of(name)
        if name not in ops() or name in PARAMETRISATIONS:
            known = [op for op in (*SLOTS, NONE, *ops()) if op not in PARAMETRISATIONS]
            expected = "an op, or a slot: norm, act, drop"
            self.problems.unknown(f"layer {name}", at, scope.where, known, expected)
            return None
        where = join(scope.where, name)
        before = len(self.problems)
        given = substitute(args, scope.params, where, self.problems)
        if len(self.problems) > before:
            return None
        check_size(given, at, where, self.problems)
        self.arguments += given.size
        if self.arguments > limits.MAX_ARGUMENTS:
            self._refuse(at, where, f"more than {limits.MAX_ARGUMENTS:,} arguments", "fewer arguments")
        checked = read_args(ops()[name], given, at, where, self.problems)
        return None if checked is None else Call(name, checked)

    def _check_one(self, what: str, sources: Sequence[str], mark: Mark, where: str) -> None:
        if len(sources) != 1:
            self.problems.add(mark, where, f"{what} takes 1 input, found {len(sources)}", "one name")

    def _check_path(self, path: str, mark: Mark, where: str) -> None:
        if len(path) > limits.MAX_NAME:
            message = f"a path of {len(path)} characters"
            self._refuse(mark, where, message, f"at most {limits.MAX_NAME}: shorter names, or fewer levels")

    def _wires_of(self, node: MapNode, scope: Scope) -> tuple[Node | None, Node | None]:
        """Return the nodes of `from` and `as`, parameters substituted."""

        def wire(key: str) -> Node | None:
            item, where = node.get(key), join(scope.where, key)
            return None if item is None else substitute(item, scope.params, where, self.problems)

        return wire("from"), wire("as")

    def _limit(self, mark: Mark, where: str) -> None:
        if self.count > limits.MAX_LAYERS:
            self._refuse(mark, where, f"more than {limits.MAX_LAYERS:,} layers", "fewer layers")

    def _refuse(self, mark: Mark, where: str, message: str, expected: str) -> NoReturn:
        """Stop at a limit."""
        raise SpecError([*self.problems, Problem(mark, where, message, expected)])
