"""Export a finished run with weights of 16 bits: half the size, for pages that load it over a network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from files import remove
from finetune.records.report import Export
from serve.artifact import FILE_NAME, FLOAT16_FILE_NAME
from serve.export.accuracy import MOST_LOST, TASK, describe_comparison, score
from serve.export.int8.quantize import find_layers
from serve.export.onnx_file import write_model
from serve.model import open_session, read_metadata

if TYPE_CHECKING:
    from finetune.config.export import ExportSettings
    from finetune.finished import FinishedRun


def export_float16(run: FinishedRun) -> Export | None:
    """Write `model.float16.onnx` beside the run's model.onnx, if it is as accurate. None if not asked for.

    Raises: ImageError if a validation image cannot be read.
    """
    if cast("ExportSettings", run.spec.sections["export"]).float16 == "none":
        return None
    source, path = run.folder / FILE_NAME, run.folder / FLOAT16_FILE_NAME
    remove(path)
    if run.task != TASK:
        return Export(None, f"float16 is measured by accuracy; not tried for {run.task}")
    metadata, model = read_metadata(source), halve_weights(onnx.load(source))
    threshold = None if metadata.unknown is None else metadata.unknown.threshold

    def images() -> Iterator[NDArray[np.uint8]]:
        return (image.read() for image in run.val.images)

    plain, _ = score(open_session(source.read_bytes()), images(), run.val.targets, threshold)
    half, unlike = score(open_session(model.SerializeToString()), images(), run.val.targets, threshold)
    found = {"accuracy": round(half, 4), "float_accuracy": round(plain, 4)}
    size = len(model.SerializeToString()) / source.stat().st_size
    summary = (
        f"weights as float16: {size:.2f} of the size, {half:.1%} of {len(run.val)} validation images right "
        f"instead of {plain:.1%}"
    )
    if half < plain - MOST_LOST:
        return Export(None, f"{summary}. Not kept: expected at most {MOST_LOST * 100:g} points lost", found)
    write_model(model, describe_comparison(metadata, found, len(run.val), unlike), path)
    return Export(path.name, summary, found)


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its layers' weights as float16; they become float32 when it is loaded."""
    layers = set(find_layers(model))
    weights = {node.input[1] for node in model.graph.node if node.name in layers}
    for tensor in model.graph.initializer:
        if tensor.name in weights and tensor.data_type == TensorProto.FLOAT:
            name, values = tensor.name, numpy_helper.to_array(tensor)
            largest = np.finfo(np.float16).max
            half = values.clip(-largest, largest).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.float16"))
            cast_node = helper.make_node("Cast", [tensor.name], [name], f"cast {name}", to=TensorProto.FLOAT)
            model.graph.node.insert(0, cast_node)
    return model
