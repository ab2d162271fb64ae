"""A spec as data: everything that its file says, checked, with what it extends and includes merged in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from zoo.spec.blocks import Block
from zoo.spec.choices import Choices
from zoo.spec.expand import expand
from zoo.spec.header import Facts, Input, Model, WeightsEntry
from zoo.spec.nodes import MapNode, Node, Problems, Scalar, plain
from zoo.spec.sections import Sections, section_type
from zoo.spec.tasks import DEFAULT_TASK, known_tasks
from zoo.spec.tree import Tree
from zoo.spec.urls import without_secrets
from zoo.spec.yaml import to_yaml


@dataclass(frozen=True, eq=False)
class Spec:
    """One network and its settings; `sections` holds those of other packages by name.

    `layers` is None where `model` names a network of another library, or the specs to choose one from; `tree`
    is the expanded layers.
    """

    name: str
    path: Path
    source: str
    task: str
    input: Input
    classes: int
    head: str | None
    stages: tuple[str, ...]
    choices: Choices
    blocks: Mapping[str, Block]
    layers: Node | None
    model: Model | None
    weights: Mapping[str, WeightsEntry]
    facts: Facts
    sections: Sections
    document: MapNode = field(repr=False)
    tree: Tree | None = field(repr=False)

    @property
    def dense(self) -> bool:
        """Whether the network answers for every pixel, (classes, height, width), and not with (classes,)."""
        return self.task != DEFAULT_TASK and known_tasks()[self.task].dense

    @property
    def is_chosen(self) -> bool:
        """Whether the network is chosen among other specs on the user's images."""
        return self.model is not None and self.model.auto is not None

    def expand(self, classes: int | None = None) -> Tree:
        """Return the expanded network, for another number of classes if given. Raises SpecError."""
        if self.layers is None or self.tree is None:
            raise ValueError(f"{self.name} declares no layers")
        if classes in (None, self.classes):
            return self.tree
        problems = Problems()
        number = Scalar(classes or self.classes, self.document.mark)
        tree = expand(self.layers, self.blocks, self.choices, number, problems)
        problems.check()
        return tree

    def to_yaml(self) -> str:
        """Return the resolved spec: one that needs no other file, with every default of every section."""
        document: dict[str, object] = {"name": self.name}
        document |= {key: plain(node) for key, node in self.document.items.items()}
        weights = document.get("weights")
        for entry in weights.values() if isinstance(weights, dict) else ():
            if isinstance(entry, dict) and isinstance(entry.get("url"), str):
                entry["url"] = without_secrets(entry["url"])  # people share the folders of their runs
        for name, value in self.sections.items():
            document[name] = section_type(name).dump_python(value, mode="json")
        return to_yaml(document)

    @cached_property
    def sha256(self) -> str:
        """Hash of `to_yaml()`, in hex."""
        return hashlib.sha256(self.to_yaml().encode()).hexdigest()
