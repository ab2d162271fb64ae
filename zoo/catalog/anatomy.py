"""The head and the stages of a network."""

from __future__ import annotations

from torch import nn

from zoo.catalog.networks import find_anatomy
from zoo.catalog.stages import Anatomy
from zoo.spec.spec import Spec
from zoo.spec.tree import Group, Leaf, leaves


def anatomy(spec: Spec, net: nn.Module) -> Anatomy:
    """Return a network's head and stages: those that the spec names, else found from its layers."""
    if spec.model is not None:
        return find_anatomy(spec, net)
    root = spec.expand().root
    head = spec.head or _last_weights(root, net)
    return Anatomy(head, spec.stages or _groups_of(root, head))


def _last_weights(root: Group, net: nn.Module) -> str:
    """Return the path of the last layer that has weights."""
    weighty = [
        leaf.path for leaf in leaves(root) if any(True for _ in net.get_submodule(leaf.path).parameters())
    ]
    return weighty[-1] if weighty else ""


def _groups_of(root: Group, head: str) -> tuple[str, ...]:
    """Return the top-level groups before the head, or the top-level layers where there are no groups."""
    before = [child for child in root.children if not head.startswith(child.path)]
    groups = tuple(child.path for child in before if isinstance(child, Group))
    return groups or tuple(child.path for child in before if isinstance(child, Leaf))
