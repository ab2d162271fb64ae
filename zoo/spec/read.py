"""Read a spec: a file with everything that it extends and includes, checked part by part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter

from zoo.errors import Mark, SpecError, nearest
from zoo.spec.blocks import read_blocks
from zoo.spec.check import check
from zoo.spec.choices import read_choices
from zoo.spec.expand import expand
from zoo.spec.header import Header
from zoo.spec.inherit import find_spec, load_document, resolve_weight_files
from zoo.spec.merge import NETWORK_KEYS, merge_documents, read_overrides
from zoo.spec.nodes import ListNode, MapNode, Node, Problems, Scalar, is_null
from zoo.spec.sections import (
    Sections,
    default_section,
    is_section,
    section_check,
    section_names,
    section_type,
)
from zoo.spec.spec import Spec
from zoo.spec.tree import Tree, items

HEADER = TypeAdapter(Header)
NOTHING = Scalar(None, Mark("", 0, 1, ""))


def parse_spec(path: str | Path, changes: Mapping[str, object] | None = None) -> Spec:
    """Read a spec, a file or the name of one of the zoo's own; `changes` overrides dotted keys.

    What only the library of a catalogue model knows is not filled in, and `check_sections` is not called:
    `zoo.read_spec` does both. Raises SpecError with every problem; GraftError when there is no such file.
    """
    file = find_spec(path)
    return _parse(load_document(file, str(file), read_overrides(changes or {})), file)


def parse_override(spec: Spec, changes: Mapping[str, object]) -> Spec:
    """Return the spec with more dotted keys overridden. Raises SpecError."""
    document = spec.document
    for over in read_overrides(changes):
        document = merge_documents(document, over)
    return _parse(document, spec.path)


def check_sections(spec: Spec) -> None:
    """Check each section that is not all defaults against the rest of the spec. Raises SpecError."""
    for name, settings in spec.sections.declared.items():
        if settings != default_section(name):
            check_section = section_check(name)
            if check_section is not None:
                check_section(spec)


def spec_keys() -> tuple[str, ...]:
    """Return every key that a spec may have at its top."""
    return ("extends", *Header.model_fields, *NETWORK_KEYS, *section_names())


def _parse(document: MapNode, file: Path) -> Spec:
    document = resolve_weight_files(document)
    problems = Problems()
    own = ("extends", *Header.model_fields, *NETWORK_KEYS)
    if not all(key in own or is_section(key) for key in document.items):
        problems.unknown_keys(document, spec_keys(), "")
    header = _header(document, file, problems)
    sections = {
        key: check(section_type(key), node, document.keys[key], key, problems)
        for key, node in document.items.items()
        if key not in own and is_section(key)
    }
    choices = read_choices(document.get("choices"), problems)
    blocks = read_blocks(document.get("blocks"), problems)
    layers, tree = document.get("layers"), None
    if layers is not None:
        classes = Scalar(header.classes if header else 1, document.mark)
        tree = expand(layers, blocks, choices, classes, problems)
        if header and not problems:
            header = _resolve_paths(tree, header, document, problems)
    _check_network(document, problems)
    if problems or header is None:
        raise SpecError(problems)
    return Spec(
        path=file,
        choices=choices,
        blocks=blocks,
        layers=layers,
        sections=Sections(sections),
        document=document,
        tree=tree,
        **{name: getattr(header, name) for name in Header.model_fields},
    )


def _header(document: MapNode, file: Path, problems: Problems) -> Header | None:
    part = document.without(*(key for key in document.items if key not in Header.model_fields))
    start = Mark(str(file), 1, 1, "")
    if "name" not in part.items:
        part = part.having("name", Scalar(file.stem, start))
    header: Header | None = check(HEADER, part, start, "", problems)
    return header


def _check_network(document: MapNode, problems: Problems) -> None:
    """A network is declared once: by its layers, or by its name in another library."""
    layers, model = "layers" in document.items, not is_null(document.items.get("model", NOTHING))
    if layers and model:
        message = "the network is declared twice: by layers and by model"
        problems.add(document.keys["model"], "model", message, "only one of them")
    if not layers and not model:
        start = Mark(document.mark.file, 1, 1, "")
        expected = "layers, or model: {timm: NAME}, {torchvision: NAME} or {auto: available}"
        problems.add(start, "", "the network is not declared", expected)


def _resolve_paths(tree: Tree, header: Header, document: MapNode, problems: Problems) -> Header:
    """Return the header with head and stages as module paths: a spec may name them by tap too."""

    def resolve(where: str, name: str, node: Node) -> str:
        path = tree.module_path(name)
        if path is None:
            paths = [item.path for item in items(tree.root) if item.path]
            near = nearest(name, [*paths, *tree.taps])
            expected = "a path or a tap, such as " + ", ".join([*paths[-3:], *tree.taps])
            problems.add(node.mark, where, f"the network has no module '{name}'", expected, near)
        return path or name

    head = None if header.head is None else resolve("head", header.head, document.items["head"])
    listed = document.get("stages")
    nodes = listed.items if isinstance(listed, ListNode) else ()
    pairs = enumerate(zip(header.stages, nodes, strict=True))
    stages = tuple(resolve(f"stages.{i}", stage, node) for i, (stage, node) in pairs)
    return header.model_copy(update={"head": head, "stages": stages})
