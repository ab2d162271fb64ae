"""The head of a network and its stages: the parts that fine-tuning freezes, replaces and taps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from zoo.catalog.networks import find_head_and_stages
from zoo.catalog.stages import is_within
from zoo.spec.spec import Spec
from zoo.spec.tree import Group, Leaf, leaves


@dataclass(frozen=True)
class Anatomy:
    """Module paths: the head, which is replaced for other classes, and the stages in their order."""

    head: str
    stages: tuple[str, ...]


def anatomy(spec: Spec, net: nn.Module) -> Anatomy:
    """Return a network's head and stages: as the spec says, else as its layers show."""
    if spec.model is not None:
        return Anatomy(*find_head_and_stages(spec, net))
    root = spec.expand().root
    head = spec.head or _last_with_weights(root, net)
    return Anatomy(head, spec.stages or _groups_before(root, head))


def stage_parts(net: nn.Module, anatomy: Anatomy) -> Mapping[str, tuple[str, ...]]:
    """Return the paths that belong to each stage: modules and parameters after the stage before it.

    A stage has the name of its last module, where it is tapped: of `blocks.2` and `blocks.5`, the second is
    blocks.3 to blocks.5. Modules between the last stage and the head belong to the last stage, those before
    the first to the first. Modules count in the order of their registration.
    """
    order = {path: place for place, (path, _) in enumerate(net.named_modules())}
    ends = {stage: max(order[path] for path in order if is_within(path, stage)) for stage in anatomy.stages}
    owners: dict[str, str] = {}
    for name, _ in net.named_parameters():
        path = name.rpartition(".")[0]
        if not is_within(path, anatomy.head):
            after = (stage for stage in anatomy.stages if ends[stage] >= order[path])
            around = (stage for stage in anatomy.stages if is_within(path, stage))
            owners[name] = next(around, next(after, anatomy.stages[-1]))
    return {stage: _fewest_paths(net, stage, owners) for stage in anatomy.stages}


def _fewest_paths(net: nn.Module, stage: str, owners: Mapping[str, str]) -> tuple[str, ...]:
    """Return the parameters of a stage by as few paths as possible: a module where all of it belongs."""
    named: list[str] = []
    for path, module in net.named_modules():
        inside = [f"{path}.{name}" for name, _ in module.named_parameters()]
        whole = bool(path and inside) and all(owners.get(name) == stage for name in inside)
        if whole and not any(is_within(path, outer) for outer in named):
            named.append(path)
    alone = (name for name in owners if owners[name] == stage and not any(is_within(name, p) for p in named))
    return (*alone, *named)


def _last_with_weights(root: Group, net: nn.Module) -> str:
    paths = (leaf.path for leaf in reversed(list(leaves(root))))
    return next((path for path in paths if any(True for _ in net.get_submodule(path).parameters())), "")


def _groups_before(root: Group, head: str) -> tuple[str, ...]:
    """Return the groups at the top before the head; where there are none, the layers."""
    before = [child for child in root.children if not head.startswith(child.path)]
    groups = tuple(child.path for child in before if isinstance(child, Group))
    return groups or tuple(child.path for child in before if isinstance(child, Leaf))
