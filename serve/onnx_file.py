"""An ONNX model as a file for others: valid, free of the exporter's notes, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime as ort

from serve.artifact import Metadata, check_session
from serve.infer import session_options


def strip_notes(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes: stack traces with this machine's paths, half of a small file's size."""
    for part in [model.graph, *model.functions]:
        del part.metadata_props[:]
        for item in [*part.node, *part.value_info]:
            del item.metadata_props[:]
            item.doc_string = ""
    for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
        value.doc_string = ""


def open_session(model: onnx.ModelProto | Path) -> ort.InferenceSession:
    """An onnxruntime session as the Predictor would open it."""
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, session_options(), providers=["CPUExecutionProvider"])


def write_model(model: onnx.ModelProto, metadata: Metadata, path: Path) -> None:
    """Write the file with its metadata, and open it once more as another app will before it gets its name."""
    model.producer_name, model.producer_version = "graft", metadata.graft_version
    onnx.helper.set_model_props(model, metadata.to_map())
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        check_session(open_session(temporary))


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that takes its place when all went well, and goes when not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
