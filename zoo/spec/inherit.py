"""Find and read a spec's file, merge in what it extends and includes, and find the files that it names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from files.paths import expand_home, is_file
from zoo import limits
from zoo.errors import GraftError, Mark, Problem, SpecError, nearest
from zoo.spec.items import op_key
from zoo.spec.merge import merge_documents, merge_items
from zoo.spec.nodes import ListNode, MapNode, Node, Problems, Scalar, text_of, walk, wrong_value
from zoo.spec.yaml import read_file

SPECS = Path(__file__).resolve().parents[2] / "specs"
SHIPPED = Path(__file__).resolve().parents[1] / "weights"
SUFFIX = ".yaml"
NOT_INHERITED = ("name",)


def load_document(path: Path, shown: str, overrides: Sequence[MapNode] = ()) -> MapNode:
    """Read a spec's file with everything that it extends and includes, and lay `overrides` over it in turn.

    Raises GraftError or SpecError.
    """
    files = _Files()
    document = _load_extended(path, shown, (path.resolve(),), files)
    for override in overrides:
        document = merge_documents(document, override)
    return _write_includes(document, path.parent, (path.resolve(),), files)


@dataclass
class _Files:
    """The files that one spec has read: each include of a file that includes others can double them."""

    count: int = 0
    size_bytes: int = 0
    values: int = 0

    def read(self, path: Path, shown: str) -> MapNode:
        """Read a file. Raises GraftError, SpecError, also for more than the limits allow."""
        document = read_file(path, shown)
        self.count += 1
        self.size_bytes += path.stat().st_size
        self.values += document.size
        for found, most, what in (
            (self.count, limits.MAX_FILES, "files"),
            (self.size_bytes, limits.MAX_BYTES, "bytes"),
            (self.values, limits.MAX_VALUES, "values"),
        ):
            if found > most:
                message = f"a spec and what it extends and includes: more than {most:,} {what}"
                raise SpecError([Problem(Mark(shown, 1, 1, ""), "", message, "fewer")])
        return document


def _load_extended(path: Path, shown: str, chain: tuple[Path, ...], files: _Files) -> MapNode:
    document = files.read(path, shown)
    parent = document.get("extends")
    if parent is None:
        return document
    name = text_of(parent)
    if name is None:
        raise SpecError([wrong_value(parent, "extends", "the name of a spec")])
    found = _find(name, path.parent, parent.mark, "extends", chain)
    base = _load_extended(found, _shown(found), (*chain, found), files)
    return merge_documents(base.without(*NOT_INHERITED), document.without("extends"))


def _find(name: str, folder: Path, mark: Mark, where: str, chain: tuple[Path, ...]) -> Path:
    """Return the file of a spec by name: beside the file that names it, else among the zoo's own."""
    filename = name if name.endswith(SUFFIX) else name + SUFFIX
    if len(os.fsencode(filename)) > limits.MAX_NAME:
        message = f"a name of {len(filename)} characters"
        raise SpecError([Problem(mark, where, message, f"at most {limits.MAX_NAME} bytes")])
    if len(chain) >= limits.MAX_CHAIN:
        message = f"more than {limits.MAX_CHAIN} specs that each name the next"
        raise SpecError([Problem(mark, where, message, "fewer specs between this one and the first")])
    for candidate in (folder / filename, SPECS / filename):
        if is_file(candidate):
            found = candidate.resolve()
            if found in chain:
                circle = " -> ".join(step.stem for step in (*chain[chain.index(found) :], found))
                raise SpecError([Problem(mark, where, f"the specs form a circle: {circle}", "another spec")])
            return found
    known = sorted({path.stem for place in (folder, SPECS) for path in place.glob("*" + SUFFIX)})
    expected = f"a file {filename} beside this one, or in {_shown(SPECS)}"
    raise SpecError([Problem(mark, where, f"no spec '{name}'", expected, nearest(name, known))])


def _shown(path: Path) -> str:
    """Return the shortest name of a path."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _write_includes(document: MapNode, folder: Path, chain: tuple[Path, ...], files: _Files) -> MapNode:
    """Replace every `include` in the layers and blocks by what it names, and copy the blocks it needs."""
    writer = _IncludeWriter(folder, chain, files)
    for key in ("layers", "blocks"):
        node = document.get(key)
        if isinstance(node, MapNode):
            document = document.having(key, writer.write(node, key))
    if writer.problems:
        raise SpecError(writer.problems)
    if writer.blocks:
        blocks = document.get("blocks")
        if not isinstance(blocks, MapNode):
            blocks = MapNode({}, {}, document.mark)
        for name, block in writer.blocks.items():
            blocks = blocks.having(name, block)
        document = document.having("blocks", blocks)
    return document


class _IncludeWriter:
    """Replaces includes; collects the blocks they need and the problems."""

    def __init__(self, folder: Path, chain: tuple[Path, ...], files: _Files) -> None:
        self.folder = folder
        self.chain = chain
        self.files = files
        self.blocks: dict[str, Node] = {}
        self.problems = Problems()

    def write(self, node: Node, where: str) -> Node:
        """Return the node with every include below it replaced."""
        if isinstance(node, ListNode):
            items = (self.write(item, f"{where}.{index}") for index, item in enumerate(node.items))
            return replace(node, items=tuple(items))
        if not isinstance(node, MapNode):
            return node
        items_below = {key: self.write(item, f"{where}.{key}") for key, item in node.items.items()}
        node = replace(node, items=items_below)
        if op_key(node) != "include":
            return node
        try:
            return self._included(node, where)
        except SpecError as error:
            self.problems.extend(error.problems)
            return Scalar("none", node.mark)

    def _included(self, node: MapNode, where: str) -> Node:
        target = node.items["include"]
        name = text_of(target)
        if name is None:
            raise SpecError([wrong_value(target, f"{where}.include", "SPEC or SPEC.path.of.a.part")])
        spec, _, part = name.partition(".")
        path = _find(spec, self._folder_of(target.mark), target.mark, f"{where}.include", self.chain)
        chain = (*self.chain, path)
        source = _load_extended(path, _shown(path), chain, self.files)
        source = _write_includes(source, path.parent, chain, self.files)
        subtree = _part(source, part, name, target.mark, f"{where}.include")
        self._copy_blocks(source, subtree, spec)
        return merge_items(_qualify(subtree, spec), node.without("include"))

    def _folder_of(self, mark: Mark) -> Path:
        return Path(mark.file).parent if mark.line else self.folder

    def _copy_blocks(self, source: MapNode, subtree: Node, spec: str) -> None:
        """Copy the blocks that the subtree uses, directly or not, under `SPEC.BLOCK`."""
        blocks = source.get("blocks")
        known = blocks.items if isinstance(blocks, MapNode) else {}
        todo = _used(subtree)
        while todo:
            name = todo.pop()
            if name in known and f"{spec}.{name}" not in self.blocks:
                self.blocks[f"{spec}.{name}"] = _qualify(known[name], spec)
                todo |= _used(known[name])


def _used(node: Node) -> set[str]:
    maps = (below for below in walk(node) if isinstance(below, MapNode))
    return {name for name in (text_of(below.get("use")) for below in maps) if name}


def _qualify(node: Node, spec: str) -> Node:
    """Rename the blocks that a subtree uses to `SPEC.BLOCK`."""
    if isinstance(node, ListNode):
        return replace(node, items=tuple(_qualify(item, spec) for item in node.items))
    if not isinstance(node, MapNode):
        return node
    items = {key: _qualify(item, spec) for key, item in node.items.items()}
    used = items.get("use")
    if isinstance(used, Scalar) and isinstance(used.value, str):
        items["use"] = Scalar(f"{spec}.{used.value}", used.mark)
    return replace(node, items=items)


def _part(source: MapNode, part: str, name: str, mark: Mark, where: str) -> Node:
    """Return the subtree at a dotted path of a spec's layers; all layers for an empty path."""
    node = source.get("layers")
    if node is None:
        raise SpecError([Problem(mark, where, f"'{name}' declares no layers", "a spec with layers")])
    for step in part.split(".") if part else ():
        children = _children(node)
        if step not in children:
            known = ", ".join(children) or "the whole layer: a block cannot be included in parts"
            message = f"'{name}' has no part '{step}'"
            raise SpecError([Problem(mark, where, message, known, nearest(step, children))])
        node = children[step]
    return node


def _children(node: Node) -> dict[str, Node]:
    if isinstance(node, ListNode):
        return {str(index): item for index, item in enumerate(node.items)}
    return node.items if isinstance(node, MapNode) and not op_key(node) else {}


def find_spec(name: str | Path) -> Path:
    """Return the file of a spec: a path, or the name of one of the zoo's own. Raises GraftError."""
    path = Path(name)
    if is_file(path):
        return path
    own = SPECS / (str(name) + SUFFIX)
    if path.name == str(name) and is_file(own):
        return own
    near = nearest(path.stem, (spec.stem for spec in SPECS.glob("*" + SUFFIX)))
    hint = f"; did you mean '{_shown(SPECS / (near + SUFFIX))}'?" if near else ""
    raise GraftError(f"{name}: no such spec{hint}")


def resolve_weight_files(document: MapNode) -> MapNode:
    """Make the paths of files next to a spec absolute, so that a copy of the spec finds them from any folder.

    Files in `SHIPPED` keep their bare name, which is the same on every machine.
    """
    weights = document.get("weights")
    if not isinstance(weights, MapNode):
        return document
    for name, entry in weights.items.items():
        file = entry.get("file") if isinstance(entry, MapNode) else None
        if not isinstance(entry, MapNode) or not isinstance(file, Scalar) or text_of(file) is None:
            continue
        folder = Path(file.mark.file).parent if file.mark.line else Path()
        path = (folder / expand_home(str(file.value))).resolve()
        if is_file(path) and path.parent != SHIPPED:
            weights = weights.having(name, entry.having("file", Scalar(str(path), file.mark)))
    return document.having("weights", weights)


def find_weight_file(file: str, folder: Path) -> Path:
    """Return the path of an entry's file: relative to the `folder` of its spec, else in `SHIPPED`."""
    path = folder / expand_home(file)
    shipped = SHIPPED / file
    return shipped if not is_file(path) and is_file(shipped) else path
