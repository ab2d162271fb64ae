"""Follow the shape of an image through an expanded network, layer by layer, without torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import prod
from typing import Any, NamedTuple

from zoo import limits
from zoo.errors import Mark, Problem, SpecError
from zoo.layers.shape import Shape, ShapeError, format_shape
from zoo.registry import Call
from zoo.spec.choices import Choices, InitRule
from zoo.spec.items import NONE, PARAMETRISATIONS, SLOTS, ops
from zoo.spec.nodes import Problems
from zoo.spec.spec import Spec
from zoo.spec.tree import INPUT, Group, Item, Leaf, Tree, join

WILDCARDS = re.compile(r"(\*\*|\*)")


class ShapedLayer(NamedTuple):
    """One layer: its module path, op and arguments, shapes without the batch, and how to build its module.

    `parameters` is the number of its weights and biases.
    """

    path: str
    op: str
    args: dict[str, Any]
    inputs: tuple[Shape, ...]
    output: Shape
    mark: Mark
    build: Callable[[Any], Any]
    parameters: int


class Shapes(NamedTuple):
    """The layers of a network in the order of execution, and the shape of its output."""

    layers: tuple[ShapedLayer, ...]
    output: Shape


def follow_shapes(spec: Spec, tree: Tree, classes: int) -> Shapes:
    """Return every layer with its shapes. Raises SpecError where one does not fit."""
    values: dict[str, Shape] = {INPUT: (spec.input.channels, spec.input.height, spec.input.width)}
    layers: list[ShapedLayer] = []
    parameters = 0

    def follow(item: Item) -> None:
        nonlocal parameters
        if isinstance(item, Leaf):
            inputs = tuple(values[source] for source in item.sources)
            for layer in _layers(item.path, Call(item.op, item.args), inputs, item.mark, spec.choices):
                layers.append(layer)
                parameters += layer.parameters
                if parameters > limits.MAX_PARAMETERS:
                    raise _too_many_parameters(layer, parameters)
            values[item.path] = layers[-1].output
            return
        values[item.path + INPUT] = values[item.source]
        for child in item.children:
            follow(child)
        values[item.path] = values[item.result]

    follow(tree.root)
    output = values[tree.root.result]
    _check_output(spec, tree.root, output, classes)
    _check_rules(layers, spec.choices.init)
    return Shapes(tuple(layers), output)


def matches_path(glob: str, path: str) -> bool:
    """Return whether a path fits a glob: `*` stands for one part or less, `**` for any number of parts."""
    ends = {0}  # where what is matched so far may end: no pattern takes exponential time, as in `re`
    for part in WILDCARDS.split(glob):
        if part == "**":
            ends = set(range(min(ends), len(path) + 1))
        elif part == "*":
            ends = {end for start in ends for end in range(start, _end_of_name(path, start) + 1)}
        else:
            ends = {start + len(part) for start in ends if path.startswith(part, start)}
        if not ends:
            return False
    return len(path) in ends


def _end_of_name(path: str, start: int) -> int:
    found = path.find(".", start)
    return len(path) if found < 0 else found


def _layers(
    path: str, call: Call, inputs: tuple[Shape, ...], mark: Mark, choices: Choices
) -> Iterator[ShapedLayer]:
    """Yield the layer of a call, or the numbered layers that it stands for."""
    where = f"layers.{path}.{call.op}"
    try:
        made = ops()[call.op].function(*inputs, **call.args)
    except ShapeError as error:
        raise SpecError([Problem(mark, where, str(error))]) from error
    if not isinstance(made, list):
        if any(size < 1 for size in made.output):
            raise SpecError([Problem(mark, where, f"the output would be empty: {format_shape(made.output)}")])
        if prod(made.output) > limits.MAX_OUTPUT:
            message = f"the output of {format_shape(made.output)} would hold {prod(made.output):.3g} numbers"
            raise SpecError([Problem(mark, where, message, f"at most {limits.MAX_OUTPUT:,}")])
        yield ShapedLayer(path, call.op, call.args, inputs, made.output, mark, made.build, made.parameters)
        return
    number = 0
    for part in made:
        chosen = choices.of(part.op) if part.op in SLOTS else part
        if chosen.op not in (NONE, *PARAMETRISATIONS):
            for layer in _layers(join(path, str(number)), chosen, inputs, mark, choices):
                yield layer
                inputs = (layer.output,)
            number += 1


def _too_many_parameters(layer: ShapedLayer, count: int) -> SpecError:
    message = f"the network would have {count:.3g} parameters up to this layer"
    where = f"layers.{layer.path}.{layer.op}"
    return SpecError([Problem(layer.mark, where, message, f"at most {limits.MAX_PARAMETERS:,}")])


def _check_output(spec: Spec, root: Group, output: Shape, classes: int) -> None:
    """A network returns one number per class; for a dense task, a map of them at the input's size."""
    needed: Shape = (classes,)
    if spec.dense:
        needed = (classes, spec.input.height, spec.input.width)
    if output != needed:
        last = root.children[-1] if root.children else root
        message = (
            f"the network returns {format_shape(output)}, but {spec.task} of {classes} classes "
            f"needs {format_shape(needed)}"
        )
        expected = "out: $classes in the last layer"
        raise SpecError([Problem(last.mark, join("layers", last.path), message, expected)])


def _check_rules(layers: list[ShapedLayer], rules: tuple[InitRule, ...]) -> None:
    """A rule whose path fits no layer is a mistake; one by kind may be for a kind that is not chosen now."""
    problems = Problems()
    for rule in rules:
        if rule.path is not None and not any(matches_path(rule.path, layer.path) for layer in layers):
            mark = rule.source.mark if rule.source else Mark("", 0, 1, "")
            expected = "a path that `graft zoo describe` shows"
            problems.add(mark, "choices.init", f"no layer has the path '{rule.path}'", expected)
    problems.check()
