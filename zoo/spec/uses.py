"""`{use: BLOCK, repeat: N, with: {…}, first: {…}, names: …}`: the copies of a block that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zoo.errors import nearest
from zoo.spec.blocks import Block, bind, substitute
from zoo.spec.items import USE_KEYS, WIRES
from zoo.spec.nodes import MapNode, Node, Problems, Scalar, text_of

MAX_REPEAT = 1000


@dataclass(frozen=True)
class Scope:
    """The context of an item: its dotted place in the file, what `$names` mean, the blocks it is within."""

    where: str
    params: Mapping[str, Node]
    using: tuple[str, ...] = ()


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
    before = len(problems)
    problems.unknown_keys(node, (*USE_KEYS, *WIRES), scope.where)
    block = _block(node.items["use"], scope, blocks, problems)
    repeat = _repeat(node, scope, problems)
    template = _names(node, scope, problems)
    given = _params(node, "with", scope, problems)
    first = _params(node, "first", scope, problems)
    if block is None or len(problems) > before:
        return None
    bodies = []
    inside = Scope(f"blocks.{block.name}", {}, (*scope.using, block.name))
    for index in range(repeat):
        values = MapNode({**given.items, **first.items}, {**given.keys, **first.keys}) if not index else given
        bound = bind(block, values, node.items["use"].mark, scope.where, problems)
        if bound is None:
            return None
        bodies.append((block.body, Scope(inside.where, {**bound, "classes": classes}, inside.using)))
    return Copies(tuple(bodies), "repeat" in node.items, template)


def _block(node: Node, scope: Scope, blocks: Mapping[str, Block], problems: Problems) -> Block | None:
    where = f"{scope.where}.use"
    name = text_of(substitute(node, scope.params, where, problems))
    if name is None:
        problems.wrong_value(node, where, "the name of a block")
        return None
    if name in scope.using:
        circle = " -> ".join((*scope.using[scope.using.index(name) :], name))
        problems.add(node.mark, where, f"block '{name}' uses itself: {circle}")
        return None
    if name not in blocks:
        expected = ", ".join(blocks) or "a block that the section 'blocks' declares"
        problems.add(node.mark, where, f"unknown block '{name}'", expected, nearest(name, blocks))
        return None
    return blocks[name]


def _repeat(node: MapNode, scope: Scope, problems: Problems) -> int:
    given = node.get("repeat")
    if given is None:
        return 1
    where = f"{scope.where}.repeat"
    found = substitute(given, scope.params, where, problems)
    value = found.value if isinstance(found, Scalar) else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_REPEAT:
        return value
    problems.wrong_value(found, where, f"an integer from 1 to {MAX_REPEAT}")
    return 1


def _names(node: MapNode, scope: Scope, problems: Problems) -> str | None:
    given = node.get("names")
    if given is None:
        return None
    template = text_of(given)
    if template is None or template.count("{n}") != 1 or not template.replace("{n}", "1").isidentifier():
        expected = "a name with {n} for the number, such as layer{n}"
        problems.wrong_value(given, f"{scope.where}.names", expected)
        return None
    return template


def _params(node: MapNode, key: str, scope: Scope, problems: Problems) -> MapNode:
    given = node.get(key)
    if given is None:
        return MapNode({}, {})
    where = f"{scope.where}.{key}"
    if not isinstance(given, MapNode):
        problems.wrong_value(given, where, "a mapping of parameters")
        return MapNode({}, {})
    found = substitute(given, scope.params, where, problems)
    return found if isinstance(found, MapNode) else given
