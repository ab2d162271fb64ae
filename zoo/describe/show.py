"""Print the description of a network: a table for terminals, Markdown for documents, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from pydantic_core import to_jsonable_python
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zoo.describe.description import Description, LayerRow, Part, parts
from zoo.describe.text import (
    WIDE,
    counted,
    escape_markdown,
    format_call,
    format_shape,
    make_console,
    markdown_table,
    scaled,
)
from zoo.pretrained.show import describe_input, render_weights
from zoo.spec.header import TrainedInput
from zoo.spec.items import NONE
from zoo.spec.spec import Spec

COLUMNS = ("path", "kind", "arguments", "output", "parameters", "MACs")
FIRST_NUMBER = 4  # the columns from here on are numbers
PATH_SHARE = 0.4  # of a line; longer paths are folded
SLOTS = ("norm", "act", "drop", "input_drop")
MEGABYTE = 10**6
PLURALS = {"weight": "weights", "bias": "biases"}


def print_description(
    description: Description,
    form: Literal["table", "json", "markdown"],
    *,
    weights: bool = False,
    changes: str = "",
) -> None:
    """Print to standard output. `changes` tells how the spec differs from its file.

    With `weights`, a table is followed by what is known about the spec's weights.
    """
    if form == "json":
        sys.stdout.write(json.dumps(_as_json(description), indent=2, ensure_ascii=False) + "\n")
    elif form == "markdown":
        sys.stdout.write(_as_markdown(description, changes))
    else:
        console = make_console()
        console.print(_as_table(description, console.width, changes))
        if weights:
            console.print(render_weights(description.spec))


def _as_json(description: Description) -> dict[str, Any]:
    spec = description.spec
    choices = {slot: spec.choices.of(slot) for slot in SLOTS} if spec.model is None else {}
    return {
        "name": spec.name,
        "source": spec.source,
        "task": spec.task,
        "classes": spec.classes,
        "input": to_jsonable_python(spec.input),
        "model": to_jsonable_python(spec.model),
        "choices": {
            slot: {call.op: to_jsonable_python(call.args)} if call.args else call.op
            for slot, call in choices.items()
        },
        "stages": [_stage_json(description, stage) for stage in description.stages],
        "head": description.head,
        "layers": to_jsonable_python(description.layers),
        "params": description.params,
        "macs": description.macs,
        "state_bytes": description.state_bytes,
        "weights": to_jsonable_python(spec.weights, exclude_none=True),
    }


def _stage_json(description: Description, path: str) -> dict[str, Any]:
    rows = [row for row in description.layers if row.part == path]
    return {
        "path": path,
        "output": list(rows[-1].output) if rows else [],
        "params": sum(row.params for row in rows),
        "macs": sum(row.macs for row in rows),
    }


def _as_markdown(description: Description, changes: str) -> str:
    rows = [
        tuple(f"**{cell}**" if cell and line.is_stage else cell for cell in line.cells)
        for line in _lines(description)
    ]
    lines = [f"# {description.spec.name}", "", *_bullets(_heading(description, changes)), ""]
    lines += [*markdown_table(COLUMNS, rows, FIRST_NUMBER), "", _totals(description), ""]
    initialisers = list(_initialisers(description))
    if initialisers:
        lines += ["## Initialisation", "", *_bullets(initialisers), ""]
    return "\n".join(lines)


def _bullets(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [f"- {name}: {escape_markdown(text)}" for name, text in pairs]


def _as_table(description: Description, width: int, changes: str) -> RenderableType:
    blocks = [
        _pairs(description.spec.name, _heading(description, changes)),
        Text(""),
        _layers(description, width),
        Text(f"\n{_totals(description)}", "bold"),
    ]
    initialisers = list(_initialisers(description))
    if initialisers:
        blocks.append(_pairs("\ninitialisation", initialisers))
    return Group(*blocks)


def _layers(description: Description, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    lines = list(_lines(description))
    short_paths = max(len(line.cells[0]) for line in lines) <= PATH_SHARE * width
    for index, name in enumerate(COLUMNS):
        number = index >= FIRST_NUMBER
        no_wrap = number or (name == COLUMNS[0] and short_paths)
        table.add_column(name, justify="right" if number else "left", no_wrap=no_wrap, overflow="fold")
    if width >= WIDE:
        table.add_column("weight init", overflow="fold")
    for line in lines:
        init = [line.init] if width >= WIDE else []
        style = "bold cyan" if line.is_stage else "bold magenta" if line.is_head else ""
        table.add_row(*line.cells, *init, style=style, end_section=line.ends_part)
    return table


def _pairs(title: str, pairs: Sequence[tuple[str, str]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in pairs:
        grid.add_row(Text(f"  {name}"), Text(text))
    return Group(Text(title, "bold"), grid)


class _Line(NamedTuple):
    """One line of the table: a layer, or a stage above its layers."""

    cells: tuple[str, ...]
    init: str = ""
    is_stage: bool = False
    is_head: bool = False
    ends_part: bool = False


def _lines(description: Description) -> Iterator[_Line]:
    for part in parts(description.layers):
        if part.path in description.stages:
            yield _Line(_stage_cells(description, part), is_stage=True)
        for row in part.rows:
            is_head = row.path == description.head
            cells = _layer_cells(row, is_head=is_head)
            yield _Line(cells, row.init.get("weight", ""), is_head=is_head, ends_part=row is part.rows[-1])


def _stage_cells(description: Description, part: Part) -> tuple[str, ...]:
    number = description.stages.index(part.path) + 1
    stage = f"stage {number}, continued" if part.continued else f"stage {number} of {len(description.stages)}"
    output = format_shape(part.rows[-1].output)
    return f"{part.path}: {stage}", "", "", output, f"{part.params:,}", scaled(part.macs)


def _layer_cells(row: LayerRow, *, is_head: bool) -> tuple[str, ...]:
    kind = f"{row.kind} (head)" if is_head else row.kind
    params = f"{row.params:,}" if row.params else ""
    macs = scaled(row.macs) if row.macs else ""
    return row.path, kind, ", ".join(row.arguments), format_shape(row.output), params, macs


def _heading(description: Description, changes: str) -> list[tuple[str, str]]:
    """Return what stands above the table, as names and texts."""
    spec = description.spec
    pairs = [("source", spec.source)] if spec.source else []
    pairs += [("task", f"{spec.task}, {spec.classes:,} classes"), ("input", _input(spec))]
    if spec.model is None:
        slots = SLOTS if spec.choices.input_drop.op != NONE else SLOTS[:-1]
        pairs.append(("choices", ", ".join(f"{slot} {format_call(spec.choices.of(slot))}" for slot in slots)))
    else:
        library = "timm" if spec.model.timm else "torchvision"
        pairs.append(("model", f"{spec.model.timm or spec.model.torchvision} of {library}"))
    pairs.append(("stages", ", ".join(description.stages) or NONE))
    pairs.append(("head", description.head or NONE))
    pairs.append(("weights", ", ".join(spec.weights) or "none declared"))
    return [*pairs, ("changed", changes)] if changes else pairs


def _input(spec: Spec) -> str:
    """Return size and preprocessing: `3x224x224, resize squash, mean 0.485 0.456 0.406, std …`."""
    size = spec.input
    parts = [format_shape((size.channels, size.height, size.width)), f"resize {size.resize}"]
    if size.multiple_of > 1:
        parts.append(f"height and width multiples of {size.multiple_of}")
    known = describe_input(TrainedInput(mean=size.mean, std=size.std)) if size.mean else ""
    return ", ".join([*parts, known or "mean and std of the weights or the data"])


def _totals(description: Description) -> str:
    return ", ".join(
        (
            counted(len(description.layers), "layer"),
            counted(description.params, "parameter"),
            f"{description.macs:,} multiply-adds (MACs) per image",
            f"{description.state_bytes / MEGABYTE:.1f} MB of weights in float32",
        )
    )


def _initialisers(description: Description) -> Iterator[tuple[str, str]]:
    """Yield each initialiser with the parameters that it fills: 'weights of 20 conv'."""
    found: dict[str, Counter[tuple[str, str]]] = {}
    for row in description.layers:
        for name, call in row.init.items():
            found.setdefault(call, Counter())[name, row.kind] += 1
    for call, counts in found.items():
        filled = (
            f"{name if count == 1 else PLURALS[name]} of {count} {kind}"
            for (name, kind), count in counts.items()
        )
        yield call, ", ".join(filled)
