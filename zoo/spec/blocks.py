"""Blocks: bodies with parameters; `$name` takes a parameter's value, `$classes` the number of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from zoo.errors import Mark, Problem, nearest
from zoo.spec.nodes import ListNode, MapNode, Node, Scalar, describe, text_of

TYPES: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
}
IN_WORDS = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "a text"}
BLOCK_KEYS = ("params", "layers")


@dataclass(frozen=True)
class Block:
    """A named body; a parameter has a type (it must be given) or a default."""

    name: str
    params: Mapping[str, Node]
    body: Node


def read_blocks(node: Node | None, problems: list[Problem]) -> dict[str, Block]:
    """Read the section `blocks`; adds to `problems`."""
    if node is None:
        return {}
    if not isinstance(node, MapNode):
        problems.append(Problem(node.mark, "blocks", f"found {describe(node)}", "a mapping"))
        return {}
    blocks = {}
    for name, item in node.items.items():
        block = _block(name, item, node.keys[name], problems)
        if block:
            blocks[name] = block
    return blocks


def _block(name: str, node: Node, at: Mark, problems: list[Problem]) -> Block | None:
    where = f"blocks.{name}"
    if not isinstance(node, MapNode):
        problems.append(Problem(node.mark, where, f"found {describe(node)}", "params and layers"))
        return None
    for key in node.items:
        if key not in BLOCK_KEYS:
            message = f"unknown key '{key}'"
            near = nearest(key, BLOCK_KEYS)
            problems.append(Problem(node.keys[key], where, message, ", ".join(BLOCK_KEYS), near))
    body, params = node.get("layers"), node.get("params")
    if body is None:
        problems.append(Problem(at, where, "missing key 'layers'", ", ".join(BLOCK_KEYS)))
        return None
    if params is not None and not isinstance(params, MapNode):
        wanted = "a mapping of names to a type or a default"
        problems.append(Problem(params.mark, f"{where}.params", f"found {describe(params)}", wanted))
        params = None
    return Block(name, params.items if params else {}, body)


def bind(
    block: Block, given: MapNode, at: Mark, where: str, problems: list[Problem]
) -> dict[str, Node] | None:
    """Give every parameter its value; None after adding to `problems`. `at` is the place of the use."""
    before = len(problems)
    names = list(block.params)
    expected = ", ".join(names) or "no parameters"
    for key in given.items:
        if key not in block.params:
            message = f"block '{block.name}' has no parameter '{key}'"
            problems.append(Problem(given.keys[key], where, message, expected, nearest(key, names)))
    bound = {}
    for name, declared in block.params.items():
        kind = _kind(declared)
        value = given.get(name)
        if value is not None and not _fits(value, kind):
            wanted = IN_WORDS[kind]
            problems.append(Problem(value.mark, f"{where}.{name}", f"found {describe(value)}", wanted))
        if value is None and _is_type(declared):
            message = f"block '{block.name}' needs '{name}'"
            problems.append(Problem(at, where, message, expected))
        bound[name] = declared if value is None else value
    return None if len(problems) > before else bound


def substitute(node: Node, scope: Mapping[str, Node], where: str, problems: list[Problem]) -> Node:
    """Replace every `$name` by its value; adds to `problems` where there is no such name."""
    if isinstance(node, ListNode):
        parts = (substitute(item, scope, where, problems) for item in node.items)
        return replace(node, items=tuple(parts))
    if isinstance(node, MapNode):
        below = {key: substitute(item, scope, where, problems) for key, item in node.items.items()}
        return replace(node, items=below)
    text = text_of(node)
    if text is None or not text.startswith("$"):
        return node
    if text[1:] in scope:
        return scope[text[1:]]
    names = [f"${name}" for name in scope]
    problems.append(
        Problem(node.mark, where, f"unknown name '{text}'", ", ".join(names), nearest(text, names))
    )
    return Scalar(None, node.mark)


def _is_type(declared: Node) -> bool:
    return text_of(declared) in TYPES


def _kind(declared: Node) -> str:
    """Give the type that a parameter declares or its default has; '' for anything."""
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
