"""A spec, read: everything a file says, checked, with what it extends and includes written in."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from zoo.errors import Mark, Problem, SpecError, nearest
from zoo.spec.blocks import Block, read_blocks
from zoo.spec.check import check
from zoo.spec.choices import Choices, read_choices
from zoo.spec.dump import to_yaml
from zoo.spec.expand import expand
from zoo.spec.header import CatalogueModel, Facts, Header, Input, WeightsEntry
from zoo.spec.inherit import find_spec, load_document
from zoo.spec.merge import merge_documents
from zoo.spec.nodes import ListNode, MapNode, Node, Scalar, plain
from zoo.spec.overrides import read_overrides
from zoo.spec.sections import default_section, section_check, section_types
from zoo.spec.tree import Tree, items
from zoo.spec.weight_files import resolve_weight_files

NETWORK_KEYS = ("choices", "blocks", "layers")
HEADER = TypeAdapter(Header)


@dataclass(frozen=True, eq=False)
class Spec:
    """One network and all that is said of it; `sections` holds the other packages' settings by name.

    `layers` is None where `model` names a network of another library; `tree` is the layers written out.
    """

    name: str
    path: Path
    source: str
    task: Literal["classification", "segmentation"]
    input: Input
    classes: int
    head: str | None
    stages: tuple[str, ...]
    choices: Choices
    blocks: Mapping[str, Block]
    layers: Node | None
    model: CatalogueModel | None
    weights: Mapping[str, WeightsEntry]
    facts: Facts
    sections: Mapping[str, object]
    document: MapNode = field(repr=False)
    tree: Tree | None = field(repr=False)

    def expand(self, classes: int | None = None) -> Tree:
        """Write the network out, for another number of classes if given. Raises SpecError."""
        if self.layers is None or self.tree is None:
            raise ValueError(f"{self.name} declares no layers")
        if classes in (None, self.classes):
            return self.tree
        problems: list[Problem] = []
        number = Scalar(classes or self.classes, self.document.mark)
        tree = expand(self.layers, self.blocks, self.choices, number, problems)
        if problems:
            raise SpecError(problems)
        return tree

    def to_yaml(self) -> str:
        """Give the resolved spec: a spec by itself, with every default of every section."""
        document = {"name": self.name} | _as_mapping(plain(self.document))
        types = section_types()
        for name, value in self.sections.items():
            document[name] = types[name].dump_python(value, mode="json")
        return to_yaml(document)

    @cached_property
    def sha256(self) -> str:
        """Hash of `to_yaml()`, in hex."""
        return hashlib.sha256(self.to_yaml().encode()).hexdigest()


def read_spec(path: str | Path, set: Mapping[str, object] | None = None) -> Spec:  # noqa: A002
    """Read a spec: a file, or the name of one of the zoo's own; `set` overrides dotted keys.

    Values of `set` are plain ones, or texts read as a spec would: {"finetune.epochs": "3"}.

    Raises SpecError with every problem, each with its place; GraftError when there is no such file.
    """
    file = find_spec(path)
    spec = _read_document(load_document(file, str(file), read_overrides(set or {})), file)
    _check_sections(spec)
    return spec


def override(spec: Spec, set: Mapping[str, object]) -> Spec:  # noqa: A002
    """Give the spec with more dotted keys overridden, checked anew. Raises SpecError."""
    document = spec.document
    for laid_over in read_overrides(set):
        document = merge_documents(document, laid_over)
    return _read_document(document, spec.path)


def _read_document(document: MapNode, file: Path) -> Spec:
    document = resolve_weight_files(document)
    problems: list[Problem] = []
    _check_keys(document, problems)
    header = _read_header(document, file, problems)
    sections = _read_sections(document, problems)
    choices = read_choices(document.get("choices"), problems)
    blocks = read_blocks(document.get("blocks"), problems)
    layers, tree = document.get("layers"), None
    if layers is not None:
        classes = Scalar(header.classes if header else 1, document.mark)
        tree = expand(layers, blocks, choices, classes, problems)
        if header and not problems:
            header = _resolve_paths(tree, header, document, problems)
    _check_network(document, problems)
    if header and header.model and not problems:
        header = importlib.import_module("zoo.catalog.networks").complete(header, document, problems)
    if problems or header is None:
        raise SpecError(problems)
    return Spec(
        name=header.name,
        path=file,
        source=header.source,
        task=header.task,
        input=header.input,
        classes=header.classes,
        head=header.head,
        stages=header.stages,
        choices=choices,
        blocks=blocks,
        layers=layers,
        model=header.model,
        weights=header.weights,
        facts=header.facts,
        sections=sections,
        document=document,
        tree=tree,
    )


def _check_sections(spec: Spec) -> None:
    """Have each section that says anything checked against the rest of the spec. Raises SpecError."""
    for name, adapter in section_types().items():
        if name in spec.document.items and spec.sections[name] != default_section(adapter):
            check_section = section_check(name)
            if check_section is not None:
                check_section(spec)


def spec_keys() -> tuple[str, ...]:
    """Give every key that a spec may have at its top."""
    return ("extends", *Header.model_fields, *NETWORK_KEYS, *section_types())


def _check_keys(document: MapNode, problems: list[Problem]) -> None:
    known = spec_keys()
    for key in document.items:
        if key not in known:
            mark = document.keys[key]
            problems.append(Problem(mark, "", f"unknown key '{key}'", ", ".join(known), nearest(key, known)))


def _read_header(document: MapNode, file: Path, problems: list[Problem]) -> Header | None:
    others = [key for key in document.items if key not in Header.model_fields]
    part = document.without(*others)
    start = Mark(str(file), 1, 1, "")
    if "name" not in part.items:
        part = part.having("name", Scalar(file.stem, start))
    header: Header | None = check(HEADER, part, start, "", problems)
    return header


def _read_sections(document: MapNode, problems: list[Problem]) -> dict[str, Any]:
    sections = {}
    for name, adapter in section_types().items():
        node = document.get(name)
        if node is None:
            sections[name] = default_section(adapter)
        else:
            sections[name] = check(adapter, node, document.keys[name], name, problems)
    return sections


def _check_network(document: MapNode, problems: list[Problem]) -> None:
    """A network is declared once: by layers, or by its name elsewhere."""
    layers, model = "layers" in document.items, "model" in document.items
    if layers and model:
        message = "the network is declared twice: by layers and by model"
        problems.append(Problem(document.keys["model"], "model", message, "one of them"))
    if not layers and not model:
        start = Mark(document.mark.file, 1, 1, "")
        message = "declares no network"
        problems.append(Problem(start, "", message, "layers, or model: {timm: NAME} or {torchvision: NAME}"))


def _resolve_paths(tree: Tree, header: Header, document: MapNode, problems: list[Problem]) -> Header:
    """Give the head and the stages as module paths: a spec may name them by tap too."""
    head = (
        None if header.head is None else _module(tree, "head", header.head, document.items["head"], problems)
    )
    stages = []
    for index, stage in enumerate(header.stages):
        listed = document.items["stages"]
        assert isinstance(listed, ListNode)
        stages.append(_module(tree, f"stages.{index}", stage, listed.items[index], problems))
    return header.model_copy(update={"head": head, "stages": tuple(stages)})


def _module(tree: Tree, where: str, name: str, node: Node, problems: list[Problem]) -> str:
    path = tree.module_path(name)
    if path is None:
        paths = [item.path for item in items(tree.root) if item.path]
        near = nearest(name, [*paths, *tree.taps])
        expected = "a path or a tap, such as " + ", ".join([*paths[-3:], *tree.taps])
        problems.append(Problem(node.mark, where, f"the network has no module '{name}'", expected, near))
    return path or name


def _as_mapping(value: object) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value
