"""Blocks: bodies with parameters; `$name` stands for a parameter's value, `$classes` for the classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from zoo import limits
from zoo.errors import Mark, Problem, SpecError, nearest
from zoo.spec.nodes import ListNode, MapNode, Node, Problems, Scalar, text_of

TYPES: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
}
TYPE_NAMES = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "a text"}
BLOCK_KEYS = ("params", "layers")


@dataclass(frozen=True)
class Block:
    """A named body; a parameter has a type (a value is required) or a default."""

    name: str
    params: Mapping[str, Node]
    body: Node


def read_blocks(node: Node | None, problems: Problems) -> dict[str, Block]:
    """Read the section `blocks`; adds to `problems`."""
    if node is None:
        return {}
    if not isinstance(node, MapNode):
        problems.wrong_value(node, "blocks", "a mapping")
        return {}
    blocks = (_block(name, item, node.keys[name], problems) for name, item in node.items.items())
    return {block.name: block for block in blocks if block}


def _block(name: str, node: Node, at: Mark, problems: Problems) -> Block | None:
    where = f"blocks.{name}"
    if not isinstance(node, MapNode):
        problems.wrong_value(node, where, "params and layers")
        return None
    problems.unknown_keys(node, BLOCK_KEYS, where)
    body, params = node.get("layers"), node.get("params")
    if body is None:
        problems.add(at, where, "missing key 'layers'", ", ".join(BLOCK_KEYS))
        return None
    if params is not None and not isinstance(params, MapNode):
        problems.wrong_value(params, f"{where}.params", "a mapping of names to a type or a default")
        params = None
    return Block(name, params.items if params else {}, body)


def bind(block: Block, given: MapNode, at: Mark, where: str, problems: Problems) -> dict[str, Node] | None:
    """Return the value of every parameter; None after adding to `problems`. `at` is the place of the use."""
    before = len(problems)
    names = list(block.params)
    expected = ", ".join(names) or "no parameters"
    for key in given.items:
        if key not in block.params:
            message = f"block '{block.name}' has no parameter '{key}'"
            problems.add(given.keys[key], where, message, expected, nearest(key, names))
    bound = {}
    for name, declared in block.params.items():
        kind = _kind(declared)
        value = given.get(name)
        if value is not None and not _fits(value, kind):
            problems.wrong_value(value, f"{where}.{name}", TYPE_NAMES[kind])
        if value is None and text_of(declared) in TYPES:
            problems.add(at, where, f"block '{block.name}' needs '{name}'", expected)
        bound[name] = declared if value is None else value
    return None if len(problems) > before else bound


def substitute(node: Node, scope: Mapping[str, Node], where: str, problems: Problems) -> Node:
    """Replace every `$name` by its value; adds to `problems` where there is no such name."""
    if isinstance(node, ListNode):
        parts = (substitute(item, scope, where, problems) for item in node.items)
        return replace(node, items=tuple(parts))
    if isinstance(node, MapNode):
        return substitute_in(node, scope, where, problems)
    text = text_of(node)
    if text is None or not text.startswith("$"):
        return node
    if text[1:] in scope:
        return scope[text[1:]]
    names = [f"${name}" for name in scope]
    problems.add(node.mark, where, f"unknown name '{text}'", ", ".join(names), nearest(text, names))
    return Scalar(None, node.mark)


def substitute_in(node: MapNode, scope: Mapping[str, Node], where: str, problems: Problems) -> MapNode:
    """Replace every `$name` in the values of a mapping."""
    below = {key: substitute(item, scope, where, problems) for key, item in node.items.items()}
    return replace(node, items=below)


def _kind(declared: Node) -> str:
    """Return the type that a parameter declares or its default has; '' for any."""
    text = text_of(declared)
    if text is not None and text in TYPES:
        return text
    value = declared.value if isinstance(declared, Scalar) else None
    if isinstance(value, bool):
        return "bool"
    return "float" if isinstance(value, int | float) else ""


def _fits(value: Node, kind: str) -> bool:
    if not kind:
        return True
    if not isinstance(value, Scalar):
        return False
    if isinstance(value.value, bool):
        return kind == "bool"
    return isinstance(value.value, TYPES[kind])


def check_size(node: Node, mark: Mark, where: str, problems: Problems) -> None:
    """Raise SpecError when substitution made a value too large: parameters in parameters can multiply."""
    if node.size > limits.MAX_VALUES:
        message, expected = f"{node.size:.3g} values", f"at most {limits.MAX_VALUES:,}"
    elif node.depth > limits.MAX_DEPTH:
        message, expected = f"nested {node.depth} levels deep", f"at most {limits.MAX_DEPTH} levels"
    else:
        return
    raise SpecError([*problems, Problem(mark, where, message, expected)])
