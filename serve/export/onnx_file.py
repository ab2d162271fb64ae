"""Write a network as ONNX, check the file against the network, and write it whole or not at all."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

import finetune.tasks.base
from pixels.processes import is_running
from serve.artifact import INPUT, Metadata
from serve.export.graphs import ExportError, ExportGraph, check_graph, evaluation_mode
from serve.export.parity import NamedImage, describe_failure, measure_parity
from serve.export.trace import trace
from serve.model import Model, ModelOutput, open_session
from serve.tasks import find_task, task_names
from serve.tasks.comparison import Parity

Images: TypeAlias = Iterable[NamedImage | NDArray[np.uint8]]


def export_onnx(
    net: nn.Module,
    preprocess: nn.Module,
    labels: tuple[str, ...],
    path: str | Path,
    *,
    images: Images,
    task: str = "classification",
    metadata: Metadata | None = None,
    opset: int = 20,
) -> Parity:
    """Write `preprocess`, `net` and the task's last step as one ONNX file.

    In: `net` takes what `preprocess` makes of uint8 (N, H, W, 3), and returns logits; `images` are real ones,
    uint8 (H, W, 3), with or without a name. On failure nothing is written, and an existing file is kept.
    Raises: ExportError if the file would answer differently from the network on one of `images`.
    """
    if task not in task_names():
        raise ExportError(f"task {task!r} cannot be exported; expected one of: {', '.join(task_names())}")
    named = _name_images(images)
    first = next(named, None)
    if first is None:
        raise ExportError("no image to check the export on; expected at least one validation image")
    with evaluation_mode(ExportGraph(preprocess, net, finetune.tasks.base.find_task(task))) as graph:
        check_graph(graph, labels)
        model = trace(graph, opset)
        parity = check_parity(model, graph, labels, itertools.chain([first], named))
    base = metadata or Metadata(task, labels, spec="", spec_sha256="")
    write_model(model, replace(base, task=task, labels=labels, parity=parity.to_dict()), Path(path))
    return parity


def _name_images(images: Images) -> Iterator[NamedImage]:
    for index, image in enumerate(images):
        yield image if isinstance(image, tuple) else (f"image {index}", image)


def check_parity(
    model: onnx.ModelProto, graph: ExportGraph, labels: tuple[str, ...], images: Iterable[NamedImage]
) -> Parity:
    """Return the result of the parity check. Raises: ExportError if the answers differ."""
    session = open_session(model.SerializeToString())
    parity, faults = measure_parity(
        artifact=lambda batch: ModelOutput(
            *cast("list[NDArray[Any]]", session.run(None, {INPUT.name: batch}))
        ),
        network=lambda batch: graph.expected(torch.from_numpy(batch)),
        images=images,
        task=find_task(graph.task.name),
        labels=labels,
    )
    if faults:
        raise ExportError(
            f"{describe_failure(parity, faults)}\nNo file was written. For a trained run, try another opset: "
            "`graft export RUN --opset 18`"
        )
    return parity


def write_model(model: onnx.ModelProto, metadata: Metadata, path: Path) -> None:
    """Write the file with its metadata, and open it as another app would before it gets its name."""
    model.producer_name, model.producer_version = "graft", metadata.graft_version
    onnx.helper.set_model_props(model, metadata.to_map())
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(model.SerializeToString())
        Model(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of exports that were killed."""
    for file in path.parent.glob(f".{glob.escape(path.name)}.*"):
        number = file.suffix.removeprefix(".")
        if number.isdecimal() and not is_running(int(number)):
            file.unlink(missing_ok=True)
