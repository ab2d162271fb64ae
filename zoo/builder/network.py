"""From a spec's written-out tree to modules, following the shapes of what passes between them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from zoo.builder.graph import Graph
from zoo.builder.twin import twin
from zoo.builder.wiring import Routes, routes_of
from zoo.errors import Mark, Problem, SpecError
from zoo.layers.output import output_shape
from zoo.layers.shape import Shape, ShapeError, in_words
from zoo.registry import Call
from zoo.spec.choices import WEIGHT_LAYERS, Choices
from zoo.spec.items import NONE, PARAMETRISATIONS, SLOTS, keeps_shape, ops
from zoo.spec.spec import Spec
from zoo.spec.tree import INPUT, Group, Item, join

MODULE_NAMES = frozenset(dir(nn.Module))
LIST_NAMES = frozenset(dir(nn.Sequential))


class Template(NamedTuple):
    """A layer on the meta device, to make others after, and the shape it gives."""

    module: nn.Module
    output: Shape


_templates: dict[tuple[Any, ...], Template] = {}  # the layers of a block come again with every copy


class BuiltLayer(NamedTuple):
    """One layer as built: its module path, op and arguments, and shapes without the batch."""

    path: str
    op: str
    args: dict[str, Any]
    inputs: tuple[Shape, ...]
    output: Shape
    module: nn.Module
    mark: Mark


@dataclass(frozen=True)
class Network:
    """A whole network, its weights not filled yet, and its layers in the order of execution."""

    net: nn.Module
    layers: tuple[BuiltLayer, ...]
    output: Shape


def build_network(spec: Spec, classes: int | None = None, *, device: str = "meta") -> Network:
    """Build a spec's network; on the meta device without memory. Raises SpecError where shapes do not fit."""
    tree = spec.expand(classes)
    root = tree.root
    builder = _Builder(spec.choices, routes_of(root), device)
    builder.shapes[INPUT] = (spec.input.channels, spec.input.height, spec.input.width)
    net = builder.group(root)
    output = builder.shapes[root.result]
    _check_output(spec, root, output, classes or spec.classes)
    return Network(net, tuple(builder.layers), output)


def forget_layers() -> None:
    """Let the next build construct every kind of layer anew: to time a first build."""
    _templates.clear()


def parametrise(network: Network, choices: Choices) -> None:
    """Hold weights as the norm chosen asks for (weight norm); after the weights have their values."""
    if choices.norm.op not in PARAMETRISATIONS:
        return
    for built in network.layers:
        if built.op in WEIGHT_LAYERS:
            _hold_by_direction(built.module)


def _hold_by_direction(module: nn.Module) -> None:
    """Apply weight norm, a length for every output channel; a unit of zeros gets a direction too."""
    weight_norm(module, dim=1 if isinstance(module, nn.ConvTranspose2d) else 0)
    length = module.get_parameter("parametrizations.weight.original0")
    direction = module.get_parameter("parametrizations.weight.original1")
    with torch.no_grad():
        direction.copy_(torch.where(length == 0, torch.ones_like(direction), direction))


class _Builder:
    """Makes modules in the order of execution; holds the shape of every value by its id."""

    def __init__(self, choices: Choices, routes: Routes, device: str) -> None:
        self.choices = choices
        self.routes = routes
        self.device = device
        self.shapes: dict[str, Shape] = {}
        self.layers: list[BuiltLayer] = []

    def group(self, group: Group) -> nn.Module:
        """Build named or listed children: nn.Sequential where they form a chain, else a Graph."""
        children: OrderedDict[str, nn.Module] = OrderedDict()
        for child in group.children:
            _check_name(child)
            children[child.name] = self._child(child)
        if self.routes.is_chain(group) and LIST_NAMES.isdisjoint(children):
            return nn.Sequential(children)
        return Graph(children, *self.routes.of(group))

    def _child(self, item: Item) -> nn.Module:
        if isinstance(item, Group):
            self.shapes[item.path + INPUT] = self.shapes[item.source]
            module = self.group(item)
            self.shapes[item.path] = self.shapes[item.result]
            return module
        inputs = tuple(self.shapes[source] for source in item.sources)
        module, output = self._layer(item.path, Call(item.op, item.args), inputs, item.mark)
        self.shapes[item.path] = output
        return module

    def _layer(self, path: str, call: Call, inputs: tuple[Shape, ...], mark: Mark) -> tuple[nn.Module, Shape]:
        try:
            template = _template(call, inputs)
        except (ShapeError, RuntimeError, ValueError, OverflowError) as error:
            raise SpecError([_shape_problem(path, call, inputs, mark, error)]) from error
        if isinstance(template, list):
            return self._calls(path, template, inputs[0], mark)
        module, output = twin(template.module, self.device), template.output
        self.layers.append(BuiltLayer(path, call.op, call.args, inputs, output, module, mark))
        return module, output

    def _calls(self, path: str, calls: Sequence[Call], shape: Shape, mark: Mark) -> tuple[nn.Module, Shape]:
        """Build the layers that one layer stands for, as a list of children."""
        children: OrderedDict[str, nn.Module] = OrderedDict()
        for call in calls:
            chosen = self.choices.of(call.op) if call.op in SLOTS else call
            if chosen.op in (NONE, *PARAMETRISATIONS):
                continue
            name = str(len(children))
            children[name], shape = self._layer(join(path, name), chosen, (shape,), mark)
        return nn.Sequential(children), shape


def _template(call: Call, inputs: tuple[Shape, ...]) -> Template | list[Call]:
    """Give the layer that a call makes of these shapes, or the calls that it stands for."""
    key = (call.op, repr(call.args), inputs)
    if key not in _templates:
        made: nn.Module | list[Call] = ops()[call.op].function(*inputs, **call.args)
        if isinstance(made, list):
            return made
        output = inputs[0] if keeps_shape(call.op) else output_shape(made, inputs)
        _templates[key] = Template(made, output)
    return _templates[key]


def _shape_problem(path: str, call: Call, inputs: tuple[Shape, ...], mark: Mark, error: Exception) -> Problem:
    where = f"layers.{path}.{call.op}"
    if isinstance(error, ShapeError):
        return Problem(mark, where, str(error))
    given = " and ".join(in_words(shape) for shape in inputs)
    return Problem(mark, where, f"cannot take {given}: {str(error).partition(chr(10))[0]}")


def _check_name(child: Item) -> None:
    if child.name in MODULE_NAMES:
        where = join("layers", child.path)
        message = f"'{child.name}' is a name that every module has for itself"
        raise SpecError([Problem(child.mark, where, message, f"another name, such as {child.name}1")])


def _check_output(spec: Spec, root: Group, output: Shape, classes: int) -> None:
    """A classifier ends in one number a class, a segmenter in a map of them at the input's size."""
    wanted: Shape = (classes,)
    if spec.task == "segmentation":
        wanted = (classes, spec.input.height, spec.input.width)
    if output != wanted:
        last = root.children[-1] if root.children else root
        needed = f"{spec.task} of {classes} classes needs {in_words(wanted)}"
        message = f"the network gives {in_words(output)}, and {needed}"
        raise SpecError([Problem(last.mark, join("layers", last.path), message, "$classes as the last out")])
