"""Write a network as a graph in the DOT language of Graphviz; draw it with its program `dot`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from zoo.describe.description import IMAGE, Description, LayerRow, parts
from zoo.describe.text import format_shape
from zoo.errors import GraftError

TEXT = (".dot", ".gv")
DRAWN = (".svg", ".png", ".pdf")
HEADER = """\
  node [shape=box, style="rounded,filled", fillcolor=white, fontname="Helvetica", fontsize=10]
  graph [style="rounded,filled", fontname="Helvetica", fontsize=10]"""
SHADES = ("#f4f6fa", "#e3e9f4", "#d2dcee", "#c1cfe8")  # from a stage to the blocks inside it


def write_graph(description: Description, path: Path) -> None:
    """Write the graph to a .dot file, or draw it into an .svg, .png or .pdf file.

    Raises: GraftError if the file cannot be written, or needs `dot` and it is not installed.
    """
    if path.suffix not in (*TEXT, *DRAWN):
        raise GraftError(f"{path}: unknown kind of graph\n  expected: {', '.join((*TEXT, *DRAWN))}")
    text, program = as_dot(description), shutil.which("dot")
    if path.suffix in DRAWN and program is None:
        raise GraftError(
            f"{path}: a {path.suffix} file needs Graphviz, and its program `dot` is not on the PATH\n"
            f"  expected: an installation of Graphviz, or {path.with_suffix('.dot').name} as the file"
        )
    try:
        if path.suffix in TEXT:
            path.write_text(text, encoding="utf-8")
        else:
            command = [str(program), f"-T{path.suffix[1:]}", "-o", str(path)]
            subprocess.run(command, input=text, text=True, check=True, capture_output=True)
    except OSError as error:
        raise GraftError(f"{path}: the graph cannot be written: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        raise GraftError(f"{path}: the graph cannot be drawn: {error.stderr.strip()}") from error


def as_dot(description: Description) -> str:
    """Return the graph as text: a node for each layer, grouped by stages and by the modules inside them."""
    spec = description.spec
    size = (spec.input.channels, spec.input.height, spec.input.width)
    lines = [f"digraph {_quoted(spec.name)} {{", HEADER, f"  {_node(IMAGE, 'image', size)}"]
    for part in parts(description.layers):
        if part.path in description.stages:
            name = f"stage {description.stages.index(part.path) + 1}"
            lines += _cluster(name, name, _module(description.head, part.rows, "", name, 2), 1)
        else:
            lines += _module(description.head, part.rows, "", "", 1)
    for row in description.layers:
        lines += [f"  {_quoted(source)} -> {_quoted(row.id)}" for source in row.sources]
    return "\n".join([*lines, "}"]) + "\n"


def _module(head: str, rows: Sequence[LayerRow], path: str, cluster: str, depth: int) -> Iterator[str]:
    """Yield the layers of one module, those of its child modules in clusters of their own."""
    start = len(path) + 1 if path else 0
    for name, group in groupby(rows, key=lambda row: row.path[start:].partition(".")[0]):
        inside = list(group)
        child = f"{path}.{name}".strip(".")
        if name and any(row.path != child for row in inside):
            unique = f"{cluster} {child}"  # a module may have layers in two stages
            yield from _cluster(unique, child, _module(head, inside, child, unique, depth + 1), depth)
        else:
            for row in inside:
                kind = " ".join((row.kind, *row.arguments[:1]))
                yield "  " * depth + _node(row.id, kind, row.output, is_head=row.path == head)


def _cluster(name: str, label: str, lines: Iterator[str], depth: int) -> Iterator[str]:
    indent = "  " * depth
    shade = SHADES[min(depth, len(SHADES)) - 1]
    yield f"{indent}subgraph {_quoted(f'cluster {name}')} {{"
    yield f"{indent}  label={_quoted(label)}; fillcolor={_quoted(shade)}"
    yield from lines
    yield f"{indent}}}"


def _node(id: str, kind: str, shape: Sequence[int], *, is_head: bool = False) -> str:  # noqa: A002
    label = kind + "\\n" + format_shape(shape)
    return f"{_quoted(id)} [label={_quoted(label)}{', penwidth=2' if is_head else ''}]"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'
