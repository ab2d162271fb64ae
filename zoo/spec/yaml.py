"""Strict YAML: text to nodes that know their line and column, and plain values back to text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from pixels.text import UNPRINTABLE
from zoo import limits
from zoo.errors import GraftError, Mark, Problem, SpecError
from zoo.spec.nodes import ListNode, MapNode, Node, Problems, Scalar
from zoo.spec.scalars import AmbiguousError, read_scalar

TAG_PREFIX = "tag:yaml.org,2002:"
STRING_TAG = TAG_PREFIX + "str"
SURROGATE = re.compile("[\ud800-\udfff]")
WIDTH = 100  # of the lines of written files
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # as YAML counts lines


def read_file(path: Path, shown: str) -> MapNode:
    """Read a spec's file; `shown` is its name in messages.

    Raises GraftError when there is no such text file, SpecError when it is not the YAML of a mapping.
    """
    try:
        status = path.stat()
        return _read_version(path, shown, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise GraftError(f"{shown}: cannot be read: {error.strerror}") from error


@lru_cache(maxsize=64)
def _read_version(path: Path, shown: str, mtime_ns: int, size: int) -> MapNode:
    """Read a file as it was at that time: a spec that many others extend is read once."""
    try:
        with path.open("rb") as file:
            content = file.read(limits.MAX_BYTES + 1)
        if len(content) > limits.MAX_BYTES:
            raise SpecError(
                [
                    Problem(
                        Mark(shown, 1, 1, ""), "", "too large a file", f"at most {limits.MAX_BYTES:,} bytes"
                    )
                ]
            )
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GraftError(f"{shown}: not a text file: a spec is YAML in UTF-8") from error
    return read_text(text, shown)


def read_text(text: str, shown: str) -> MapNode:
    """Read a spec's text. Raises SpecError with everything that is wrong in it."""
    source = _Source(shown, LINE_BREAK.split(text))
    problems = Problems()
    try:
        composer = _StrictComposer(text, source, problems)
        root = composer.get_single_node()
        node = None if root is None else composer.convert(root)
    except yaml.YAMLError as error:
        raise SpecError([*problems, _syntax_problem(error, source)]) from error
    problems.check()
    if not isinstance(node, MapNode) or not node.items:
        found = "an empty file" if node is None or not text.strip() else "no mapping"
        raise SpecError([Problem(source.at(0, 0), "", f"found {found}", "a mapping of keys to values")])
    return node


@dataclass(frozen=True)
class _Source:
    """A file's name and lines."""

    shown: str
    lines: list[str]

    def at(self, line: int, column: int, length: int = 1) -> Mark:
        """Return the mark of a place; `line` and `column` count from 0 here, as in PyYAML."""
        text = self.lines[line] if line < len(self.lines) else ""
        return Mark(self.shown, line + 1, column + 1, text, length)

    def mark(self, start: yaml.Mark, end: yaml.Mark) -> Mark:
        """Return the mark of a node; its carets end with its first line."""
        text = self.lines[start.line] if start.line < len(self.lines) else ""
        stop = end.column if end.line == start.line else len(text)
        return self.at(start.line, start.column, max(1, stop - start.column))


class _StrictComposer(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's composer without implicit types; refuses anchors, aliases and tags, and converts its nodes.

    Nodes more than the limits allow, or deeper, are refused while they are read.
    """

    def __init__(self, text: str, source: _Source, problems: Problems) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self.source = source
        self.problems = problems
        self.count = self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark = self.source.mark(event.start_mark, event.end_mark)
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            self._refuse(mark, f"the alias '*{event.anchor}'")
            start, end = cast("Any", event.start_mark), cast("Any", event.end_mark)
            return yaml.ScalarNode(STRING_TAG, "", start, end, style="'")
        if event.anchor is not None:
            self._refuse(mark, f"the anchor '&{event.anchor}'")
            event.anchor = None
        if event.tag is not None:
            self._refuse(mark, f"the tag '{event.tag.replace(TAG_PREFIX, '!!')}'")
            event.tag = None
        self.count += 1
        if self.count > limits.MAX_VALUES:
            message = f"more than {limits.MAX_VALUES:,} values"
            raise SpecError([*self.problems, Problem(mark, "", message, "fewer values")])
        if self.depth > limits.MAX_DEPTH:
            raise SpecError([*self.problems, _too_deep(mark)])
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _refuse(self, mark: Mark, what: str) -> None:
        message = f"{what} is not part of the spec language"
        self.problems.add(mark, "", message, "plain values; a block or extends, to repeat")

    def convert(self, node: yaml.Node) -> Node:
        """Convert a node of PyYAML and all below it to ours."""
        mark = self.source.mark(node.start_mark, node.end_mark)
        if isinstance(node, yaml.ScalarNode):
            return Scalar(self._scalar(node, mark), mark)
        if isinstance(node, yaml.SequenceNode):
            return ListNode(tuple(self.convert(item) for item in node.value), mark)
        return self._mapping(cast("yaml.MappingNode", node), mark)

    def _scalar(self, node: yaml.ScalarNode, mark: Mark) -> str | int | float | bool | None:
        text: str = node.value
        if SURROGATE.search(text):
            self.problems.add(mark, "", "half a character: a lone surrogate", "whole characters")
            return None
        if found := UNPRINTABLE.search(text):
            message = f"the character U+{ord(found[0]):04X}, which acts on terminals and is not shown"
            self.problems.add(mark, "", message, "text that can be printed")
            return None
        if node.style is not None:  # quoted: always a text
            return text
        try:
            return read_scalar(text)
        except AmbiguousError as error:
            self.problems.add(mark, "", str(error), error.instead)
            return None

    def _mapping(self, node: yaml.MappingNode, mark: Mark) -> MapNode:
        items: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        for key_node, value_node in node.value:
            at = self.source.mark(key_node.start_mark, key_node.end_mark)
            key = self._key(key_node, at)
            value = self.convert(value_node)
            if key is None:
                continue
            if key in items:
                message = f"duplicate key '{key}': it is already at line {keys[key].line}"
                self.problems.add(at, "", message, "each key once")
                continue
            items[key], keys[key] = value, at
        return MapNode(items, keys, mark)

    def _key(self, node: yaml.Node, mark: Mark) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self.problems.add(mark, "", "found a list or mapping as a key", "a name")
            return None
        if node.style is None and node.value == "<<":
            message = "the merge key '<<' is not part of the spec language"
            self.problems.add(mark, "", message, "a block or extends, to repeat")
            return None
        problems_before = len(self.problems)
        value = self._scalar(node, mark)
        if len(self.problems) > problems_before:
            return None
        if not isinstance(value, str):
            message = f"found '{node.value}' as a key"
            self.problems.add(mark, "", message, f'a name, or "{node.value}" in quotes')
            return None
        if len(value) > limits.MAX_NAME:
            self.problems.add(mark, "", f"a name of {len(value)} characters", f"at most {limits.MAX_NAME}")
            return None
        return value


def _syntax_problem(error: yaml.YAMLError, source: _Source) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError):
        at = error.problem_mark or error.context_mark
        mark = source.at(at.line, at.column) if at else source.at(0, 0)
        reason = ": ".join(part for part in (error.context, error.problem) if part)
        return Problem(mark, "", f"not YAML: {reason}".replace("\n", " "))
    reason = getattr(error, "reason", "broken")
    return Problem(source.at(0, 0), "", f"not YAML: {reason}")


def _too_deep(mark: Mark) -> Problem:
    return Problem(mark, "", f"nested more than {limits.MAX_DEPTH} levels deep", "fewer levels")


class _Dumper(yaml.SafeDumper):
    """Quotes every text that would not be read as itself, and makes no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    try:
        quoted = read_scalar(text) != text
    except AmbiguousError:
        quoted = True
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if quoted else None)


_Dumper.add_representer(str, _represent_text)


def to_yaml(document: object) -> str:
    """Return the YAML text of plain values, keys in their order; `read_text` reads back the same values."""
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=WIDTH
    )
    return text
