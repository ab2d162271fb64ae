"""Models as the open inference protocol describes and asks them."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve.artifact import CHANNELS, INPUT, UNKNOWN
from serve.inference.tensors import DATATYPES, InferRequest
from serve.registry import Registry, Served
from serve.tasks import Output
from serve.worker import Worker


def describe_server(*extensions: str) -> dict[str, Any]:
    """Return name and version of the server, and its extensions of the protocol."""
    return {"name": "graft", "version": version("graft-zoo"), "extensions": list(extensions)}


def describe_model(models: Registry, name: str, number: str | None) -> dict[str, Any]:
    """Return inputs and outputs of a model; -1 stands for any size. Raises: UnknownModelError."""
    model = models.find(name, number)
    return {
        "name": name,
        "versions": list(models.models[name]),
        "platform": "onnxruntime_onnx",
        "inputs": [_describe(INPUT, [-1, -1, -1, CHANNELS])],
        "outputs": [_describe(output, _shape(model, output)) for output in _outputs(model)],
    }


def output_names(model: Served) -> list[str]:
    """Return the names of all outputs."""
    return [output.name for output in _outputs(model)]


def ask(worker: Worker, model: Served, asked: InferRequest, deadline: float) -> dict[str, NDArray[Any]]:
    """Return all outputs for the images, by name.

    Raises: BusyError if the deadline, by `time.monotonic`, passes; ImageError if the model cannot answer.
    """
    worker.begin(model, len(asked.images))
    found = list(worker.run(model, asked.images, deadline))
    arrays = {model.predictor.task.output.name: np.concatenate([each.answers for each in found])}
    unknown = [each.unknown for each in found if each.unknown is not None]
    return arrays | ({UNKNOWN.name: np.concatenate(unknown)} if unknown else {})


def _outputs(model: Served) -> list[Output]:
    unknown = model.predictor.metadata.unknown
    return [model.predictor.task.output, *([] if unknown is None else [UNKNOWN])]


def _shape(model: Served, output: Output) -> list[int]:
    """Return the shape of an output; that of one number for each class ends with their number."""
    if output.rank == 2:  # noqa: PLR2004  batch and classes
        return [-1, len(model.predictor.labels)]
    return [-1] * output.rank


def _describe(tensor: Output, shape: list[int]) -> dict[str, object]:
    return {"name": tensor.name, "datatype": DATATYPES[tensor.dtype], "shape": shape}
