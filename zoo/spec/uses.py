"""`{use: BLOCK, repeat: N, with: {…}, first: {…}, names: …}`: the copies of a block that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zoo import limits
from zoo.errors import Mark, Problem, SpecError
from zoo.spec.blocks import Block, bind, check_size, substitute, substitute_in
from zoo.spec.items import USE_KEYS, WIRES
from zoo.spec.nodes import MapNode, Node, Problems, Scalar, text_of

MAX_REPEAT = 1000
PARAMS = ("with", "first")


@dataclass(frozen=True)
class Scope:
    """The context of an item: its dotted place in the file, what `$names` mean, the blocks it is within."""

    where: str
    params: Mapping[str, Node]
    using: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One child to expand: its name, node and scope, and the wires that it has from the use of its block."""

    name: str
    node: Node
    mark: Mark
    scope: Scope
    wanted: Node | None = None
    named: Node | None = None


@dataclass(frozen=True)
class Copies:
    """The copies of a block: a body and scope each; `names` is the template of their names, if given."""

    bodies: tuple[tuple[Node, Scope], ...]
    repeated: bool
    names: str | None


def read_use(
    node: MapNode, scope: Scope, blocks: Mapping[str, Block], classes: Node, problems: Problems
) -> Copies | None:
    """Bind the parameters of each copy; None after adding to `problems`."""
    before, at = len(problems), node.items["use"].mark
    problems.unknown_keys(node, (*USE_KEYS, *WIRES), scope.where)
    block = _block(node.items["use"], scope, blocks, problems)
    repeat = _repeat(node.get("repeat"), scope, problems)
    template = _names(node.get("names"), scope, problems)
    given, first = (_params(node.get(key), f"{scope.where}.{key}", scope, problems) for key in PARAMS)
    if block is None or len(problems) > before:
        return None
    bodies = []
    for index in range(repeat):
        values = MapNode({**given.items, **first.items}, {**given.keys, **first.keys}) if not index else given
        bound = bind(block, values, at, scope.where, problems)
        if bound is None:
            return None
        using = (*scope.using, block.name)
        bodies.append((block.body, Scope(f"blocks.{block.name}", {**bound, "classes": classes}, using)))
    return Copies(tuple(bodies), "repeat" in node.items, template)


def _block(node: Node, scope: Scope, blocks: Mapping[str, Block], problems: Problems) -> Block | None:
    where = f"{scope.where}.use"
    name = text_of(substitute(node, scope.params, where, problems))
    if name is None:
        problems.wrong_value(node, where, "the name of a block")
    elif name in scope.using:
        circle = " -> ".join((*scope.using[scope.using.index(name) :], name))
        problems.add(node.mark, where, f"block '{name}' uses itself: {circle}")
    elif len(scope.using) >= limits.MAX_DEPTH:
        message = f"blocks within each other more than {limits.MAX_DEPTH} levels deep"
        raise SpecError([*problems, Problem(node.mark, where, message, "fewer levels")])
    elif name not in blocks:
        expected = ", ".join(blocks) or "a block that the section 'blocks' declares"
        problems.unknown(f"block {name}", node.mark, where, [*blocks], expected)
    else:
        return blocks[name]
    return None


def _repeat(node: Node | None, scope: Scope, problems: Problems) -> int:
    if node is None:
        return 1
    where = f"{scope.where}.repeat"
    found = substitute(node, scope.params, where, problems)
    value = found.value if isinstance(found, Scalar) else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_REPEAT:
        return value
    problems.wrong_value(found, where, f"an integer from 1 to {MAX_REPEAT}")
    return 1


def _names(node: Node | None, scope: Scope, problems: Problems) -> str | None:
    template = text_of(node) or ""
    named = template.count("{n}") == 1 and template.replace("{n}", "1").isidentifier()
    if node is not None and not named:
        expected = "a name with {n} for the number, such as layer{n}"
        problems.wrong_value(node, f"{scope.where}.names", expected)
    return template or None


def _params(node: Node | None, where: str, scope: Scope, problems: Problems) -> MapNode:
    if isinstance(node, MapNode):
        given = substitute_in(node, scope.params, where, problems)
        check_size(given, node.mark, where, problems)
        return given
    if node is not None:
        problems.wrong_value(node, where, "a mapping of parameters")
    return MapNode({}, {})
