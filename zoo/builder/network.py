"""From a spec's expanded tree to modules."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from zoo.builder.graph import Graph
from zoo.builder.wiring import Routes, routes_of
from zoo.errors import GraftError, Mark, Problem, SpecError
from zoo.layers import modules
from zoo.layers.shape import Shape, format_shape
from zoo.spec.choices import WEIGHT_LAYERS, Choices
from zoo.spec.items import PARAMETRISATIONS
from zoo.spec.shapes import ShapedLayer, follow_shapes
from zoo.spec.spec import Spec
from zoo.spec.tree import Group, Item, join

GIGABYTE = 10**9
SEQUENTIAL_NAMES = frozenset(dir(nn.Sequential))


class BuiltLayer(NamedTuple):
    """One layer as built: its module path, op and arguments, and shapes without the batch."""

    path: str
    op: str
    args: dict[str, Any]
    inputs: tuple[Shape, ...]
    output: Shape
    mark: Mark
    module: nn.Module


@dataclass(frozen=True)
class Network:
    """A whole network, its weights not initialised yet, and its layers in the order of execution."""

    net: nn.Module
    layers: tuple[BuiltLayer, ...]
    output: Shape


def build_network(spec: Spec, classes: int | None = None, *, device: str = "meta") -> Network:
    """Build a spec's network; on the meta device without memory. Raises SpecError where shapes do not fit."""
    tree = spec.expand(classes)
    shapes = follow_shapes(spec, tree, classes or spec.classes)
    with torch.device("meta"):
        built = {layer.path: BuiltLayer(*layer[:-2], _build(layer)) for layer in shapes.layers}
    net = _group(tree.root, routes_of(tree.root), built)
    if device != "meta":
        _check_memory(spec, net)
        net.to_empty(device=device)
    return Network(net, tuple(built.values()), shapes.output)


def _check_memory(spec: Spec, net: nn.Module) -> None:
    """Refuse a network whose weights alone are larger than this machine's memory, before it is taken."""
    needed = sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())
    try:
        present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return
    if needed > present:
        raise GraftError(
            f"{spec.path}: the weights of {spec.name} take {needed / GIGABYTE:,.0f} GB, and this machine has "
            f"{present / GIGABYTE:,.0f} GB of memory\n  expected: a smaller network"
        )


def parametrise(network: Network, choices: Choices) -> None:
    """Apply weight norm if it is the chosen norm, after the weights have their initial values."""
    if choices.norm.op not in PARAMETRISATIONS:
        return
    for layer in network.layers:
        if layer.op in WEIGHT_LAYERS:
            _apply_weight_norm(layer.module)


def _apply_weight_norm(module: nn.Module) -> None:
    """Apply weight norm with a length for every output channel; a unit of zeros gets a direction too."""
    weight_norm(module, dim=1 if isinstance(module, nn.ConvTranspose2d) else 0)
    length = module.get_parameter("parametrizations.weight.original0")
    direction = module.get_parameter("parametrizations.weight.original1")
    with torch.no_grad():
        direction.copy_(torch.where(length == 0, torch.ones_like(direction), direction))


def _build(layer: ShapedLayer) -> nn.Module:
    try:
        module: nn.Module = layer.build(modules)
    except (RuntimeError, ValueError, OverflowError) as error:  # sizes that torch cannot hold
        inputs = " and ".join(format_shape(shape) for shape in layer.inputs)
        message = f"cannot be built for {inputs}: {str(error).partition(chr(10))[0]}"
        raise SpecError([Problem(layer.mark, f"layers.{layer.path}.{layer.op}", message)]) from error
    return module


def _group(group: Group, routes: Routes, built: dict[str, BuiltLayer]) -> nn.Module:
    """Build named or listed children: nn.Sequential where they form a chain, else a Graph."""
    children = OrderedDict((child.name, _child(child, routes, built)) for child in group.children)
    if routes.is_chain(group) and SEQUENTIAL_NAMES.isdisjoint(children):
        return nn.Sequential(children)
    return Graph(children, *routes.of(group))


def _child(item: Item, routes: Routes, built: dict[str, BuiltLayer]) -> nn.Module:
    if isinstance(item, Group):
        return _group(item, routes, built)
    if item.path in built:
        return built[item.path].module
    parts: OrderedDict[str, nn.Module] = OrderedDict()  # of a layer that stands for several
    while (path := join(item.path, str(len(parts)))) in built:
        parts[str(len(parts))] = built[path].module
    return nn.Sequential(parts)
