"""`zoo.build`: a spec made into a network with weights, and `zoo.anatomy`: its head and stages."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from zoo.builder.init import initialise
from zoo.builder.network import build_network, parametrise
from zoo.spec.spec import Spec, read_spec
from zoo.spec.tree import Group, Leaf, leaves


@dataclass(frozen=True)
class Anatomy:
    """Module paths: the layer that is replaced for other classes, and the stages in their order."""

    head: str
    stages: tuple[str, ...]


def build(
    spec: Spec | str | Path, *, weights: str | None = None, classes: int | None = None, seed: int = 0
) -> nn.Module:
    """Build a network in float32 on the processor: (N, C, H, W) to (N, classes), or (N, classes, H, W).

    `weights` names an entry of the spec's `weights`; where its classes are others than `classes`, the head
    stays as `seed` made it. Torch's own random numbers are left alone. `zoo.load` also tells of the weights.

    Raises SpecError where shapes do not fit, WeightsError where weights do not.
    """
    spec = spec if isinstance(spec, Spec) else read_spec(spec)
    if weights is not None:
        pretrained = importlib.import_module("zoo.pretrained.load")
        loaded: nn.Module = pretrained.build_loaded(spec, weights, classes, seed)
        return loaded
    classes = classes or spec.classes
    return _declared(spec, classes, seed) if spec.model is None else _catalogued(spec, classes, seed)


def anatomy(spec: Spec, net: nn.Module) -> Anatomy:
    """Give a network's head and stages: as the spec says, else as its layers show."""
    if spec.model is not None:
        found: Anatomy = importlib.import_module("zoo.catalog.networks").find_anatomy(spec, net)
        return found
    root = spec.expand().root
    head = spec.head or _last_weights(root, net)
    return Anatomy(head, spec.stages or _groups_of(root, head))


def _declared(spec: Spec, classes: int, seed: int) -> nn.Module:
    network = build_network(spec, classes, device="cpu")
    initialise(network, spec.choices, seed)
    parametrise(network, spec.choices)
    return network.net


def _catalogued(spec: Spec, classes: int, seed: int) -> nn.Module:
    net: nn.Module = importlib.import_module("zoo.catalog.networks").build_catalogued(spec, classes, seed)
    return net


def _last_weights(root: Group, net: nn.Module) -> str:
    """Give the path of the last layer that has weights."""
    weighty = [
        leaf.path for leaf in leaves(root) if any(True for _ in net.get_submodule(leaf.path).parameters())
    ]
    return weighty[-1] if weighty else ""


def _groups_of(root: Group, head: str) -> tuple[str, ...]:
    """Give the groups at the top that come before the head; where there are none, its layers."""
    before = [child for child in root.children if not head.startswith(child.path)]
    groups = tuple(child.path for child in before if isinstance(child, Group))
    return groups or tuple(child.path for child in before if isinstance(child, Leaf))
