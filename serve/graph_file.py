"""Read what an ONNX file says about itself without loading it, in bounded time and memory.

An ONNX file is a protobuf message: fields of a number and a value, of which some are messages again. Only the
fields that matter here are read; the weights are stepped over. Source: onnx.proto3 of ONNX 1.19.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Value: TypeAlias = int | memoryview
Dimension: TypeAlias = int | str

MAX_FIELDS = 5_000_000
MAX_DEPTH = 20
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MORE = 0x80
NOTHING = memoryview(b"")

MODEL_GRAPH, MODEL_OPSET, MODEL_PROPERTY, MODEL_FUNCTION = 7, 8, 14, 25
GRAPH_INPUT, GRAPH_OUTPUT = 11, 12
EXTERNAL_PATHS: dict[str, dict[int, str]] = {
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""The fields of each message in which a tensor may be, and what message they are."""
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14
TYPES = {1: "tensor(float)", 2: "tensor(uint8)"}


class NotOnnxError(ValueError):
    """Not an ONNX file, or a damaged one; the message says where it ends to make sense."""


@dataclass(frozen=True)
class Tensor:
    """An input or output: its name, its type as onnxruntime names it, and its dimensions."""

    name: str
    type: str
    shape: list[Dimension]


@dataclass
class GraphFile:
    """What an ONNX file says: its properties, inputs and outputs, and versions of its operators.

    `external`: some weights are in other files. `functions`: how many of its operators it defines itself.
    """

    properties: dict[str, str] = field(default_factory=dict)
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    opsets: dict[str, int] = field(default_factory=dict)
    functions: int = 0
    external: bool = False


def read_graph_file(path: Path) -> GraphFile:
    """Read an ONNX file. Raises: NotOnnxError, or OSError if it cannot be read."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise NotOnnxError("the file is empty")
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    reader, found = _Reader(), GraphFile()
    try:
        for number, value in reader.fields(content):
            if number == MODEL_PROPERTY:
                key, text = reader.strings(value, 1, 2)
                found.properties[key] = text
            elif number == MODEL_OPSET:
                entry = dict(reader.fields(value))
                found.opsets[_text(entry.get(1, NOTHING))] = _number(entry.get(2, 0))
            elif number == MODEL_FUNCTION:
                found.functions += 1
            elif number == MODEL_GRAPH:
                found.external |= reader.is_external(value, "graph")
                for inner, tensor in reader.fields(value):
                    if inner in (GRAPH_INPUT, GRAPH_OUTPUT):
                        (found.inputs if inner == GRAPH_INPUT else found.outputs).append(
                            reader.tensor(tensor)
                        )
    except UnicodeDecodeError as error:
        raise NotOnnxError("a name or text in it is not UTF-8") from error
    if not found.opsets:
        raise NotOnnxError("it names no version of the operators")
    return found


class _Reader:
    """Reads messages, and counts their fields: a file of many tiny ones would take minutes."""

    def __init__(self) -> None:
        self.count = 0

    def fields(self, message: Value) -> Iterator[tuple[int, Value]]:
        """Yield the number and value of each field: a number, or the bytes of a text or message."""
        view, place = _bytes(message), 0
        while place < len(view):
            self.count += 1
            if self.count > MAX_FIELDS:
                raise NotOnnxError(f"it has more than {MAX_FIELDS:,} parts")
            tag, place = _varint(view, place)
            if tag & 7 == VARINT:
                value, place = _varint(view, place)
                yield tag >> 3, value
                continue
            if tag & 7 == BYTES:
                size, place = _varint(view, place)
            elif tag & 7 in (FIXED32, FIXED64):
                size = 4 if tag & 7 == FIXED32 else 8
            else:
                raise NotOnnxError("it is no ONNX file, or damaged")
            if size > len(view) - place:
                raise NotOnnxError("it ends too early")
            yield tag >> 3, view[place : place + size]
            place += size

    def strings(self, message: Value, *numbers: int) -> list[str]:
        """Return the texts of these fields; empty where there is none."""
        entry = dict(self.fields(message))
        return [_text(entry.get(number, NOTHING)) for number in numbers]

    def is_external(self, message: Value, kind: str, depth: int = 0) -> bool:
        """Return whether a tensor in the message has its numbers in another file."""
        if depth > MAX_DEPTH:
            raise NotOnnxError(f"its graphs are nested over {MAX_DEPTH} deep")
        if kind == "tensor":
            return any(
                number == TENSOR_EXTERNAL or (number == TENSOR_LOCATION and value == 1)
                for number, value in self.fields(message)
            )
        inner = EXTERNAL_PATHS[kind]
        return any(
            self.is_external(value, inner[number], depth + 1)
            for number, value in self.fields(message)
            if number in inner
        )

    def tensor(self, message: Value) -> Tensor:
        """Read a ValueInfoProto."""
        entry = dict(self.fields(message))
        tensor_type = dict(self.fields(dict(self.fields(entry.get(2, NOTHING))).get(1, NOTHING)))
        kind = _number(tensor_type.get(1, 0))
        shape: list[Dimension] = []
        for _, dimension in self.fields(tensor_type.get(2, NOTHING)):
            size = dict(self.fields(dimension))
            shape.append(_number(size[1]) if 1 in size else _text(size.get(2, NOTHING)))
        return Tensor(_text(entry.get(1, NOTHING)), TYPES.get(kind, f"of type {kind}"), shape)


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    """Return a number of 1 to 10 bytes, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(view):
            raise NotOnnxError("it ends too early")
        byte = view[place]
        place += 1
        value |= (byte & (MORE - 1)) << shift
        if byte < MORE:
            return value, place
    raise NotOnnxError("it is no ONNX file, or damaged")


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise NotOnnxError("it is no ONNX file, or damaged")
    return value


def _text(value: Value) -> str:
    return bytes(_bytes(value)).decode()


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise NotOnnxError("it is no ONNX file, or damaged")
    return value
