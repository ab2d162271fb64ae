"""A trained network to one ONNX file that takes raw pixels, checked against the network before it is kept."""

from __future__ import annotations

import contextlib
import itertools
import logging
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import nn

import zoo
from pixels import ImageError
from serve.artifact import FILE_NAME, INPUT_NAME, MAX_MASK_CLASSES, OUTPUTS, ArtifactError, Metadata
from serve.graphs import GRAPHS, Classifier
from serve.onnx_file import open_session, strip_notes, write_model
from serve.parity import NamedImage, Parity, describe_failure, measure_parity
from zoo.errors import GraftError

if TYPE_CHECKING:
    from finetune.api import FinishedRun
    from finetune.config.export import ExportSettings

MAX_BYTES = 2**31 - 2**20  # protobuf's limit of 2 GiB, less room for the graph itself
EXPORTER = "onnx"
"""Its name among the package's entry points, and so in report.json."""
EXAMPLE_SHAPE = (2, 37, 53, 3)  # no two sizes alike, none of them 1: the exporter must not tie them together


class ExportError(GraftError):
    """A network that cannot be exported, or whose export answers otherwise than the network."""


def export_run(run: FinishedRun) -> dict[str, object]:
    """Write `model.onnx` into the run's folder, checked on its validation images.

    Out: what the run's report says of it: the file, the numbers of the check, and the same in words (`says`).
    Raises: ExportError when the network cannot be exported or the file would answer otherwise.
    """
    settings = cast("ExportSettings", run.spec.sections["export"])
    images = spread(run.val.images, settings.parity_images)
    path = run.folder / FILE_NAME
    parity = export_onnx(
        run.net,
        run.preprocess,
        run.labels,
        path,
        task=run.task,
        metadata=describe_run(run),
        images=((image.name, image.read()) for image in images),
        opset=settings.opset,
    )
    return {"file": path.name, "says": str(parity), **parity.to_dict()}


def export_folder(folder: str | Path, opset: int | None = None) -> dict[str, object]:
    """`export_run` for the folder of a finished run, with another `export.opset` if one is given.

    Raises: ArtifactError, whatever is wrong with the run, its files or its images.
    """
    from finetune.api import load_run  # the whole of training, which export_onnx does not need
    from finetune.records.run_folder import RunFolder
    from finetune.report.report import note_export

    try:
        run = load_run(folder)
        if opset is not None:
            run = replace(run, spec=zoo.override(run.spec, {"export.opset": opset}))
        written = export_run(run)
        note_export(RunFolder(run.folder), EXPORTER, written)
    except GraftError as error:
        raise ArtifactError(str(error)) from error
    except ImageError as error:
        raise ArtifactError(
            f"{folder}: the export is checked on the run's validation images, and {error}\n"
            "  expected: the images where the run found them"
        ) from error
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ArtifactError(
            f"{folder}: a file of the run is missing, damaged or cannot be written: {error}\n"
            "  expected: the folder as the run left it"
        ) from error
    return written


def export_onnx(
    net: nn.Module,
    preprocess: nn.Module,
    labels: tuple[str, ...],
    path: str | Path,
    *,
    images: Iterable[NamedImage | NDArray[np.uint8]],
    task: str = "classification",
    metadata: Metadata | None = None,
    opset: int = 20,
) -> Parity:
    """Write `preprocess`, `net` and the task's last step as one ONNX file.

    In: `net` takes what `preprocess` makes of uint8 (N, H, W, 3) to logits; `images` are real ones, uint8
    (H, W, 3), with or without a name. On failure nothing is written, and a file that stood there stays.
    Raises: ExportError when the file would answer otherwise than the network on one of `images`.
    """
    if task not in GRAPHS:
        raise ExportError(f"task {task!r} cannot be exported; expected one of: {', '.join(GRAPHS)}")
    named = _named(images)
    first = next(named, None)
    if first is None:
        raise ExportError("no image to check the export on; expected at least one validation image")
    base = metadata or Metadata(task, labels, spec="", spec_sha256="")
    with _ready(GRAPHS[task](preprocess, net)) as graph:
        check_graph(graph, task, labels)
        model = _trace(graph, task, opset)
        parity = _check_parity(model, graph, task, labels, itertools.chain([first], named))
    write_model(model, replace(base, task=task, labels=labels, parity=parity.to_dict()), Path(path))
    return parity


def describe_run(run: FinishedRun) -> Metadata:
    """What the artifact of a run says about itself; of the metrics, those that are one number."""
    return Metadata(
        task=run.task,
        labels=run.labels,
        spec=run.spec.name,
        spec_sha256=run.spec.sha256,
        metrics={key: value for key, value in run.metrics.items() if _is_number(value)},
        weights={key: value for key, value in run.weights_origin.items() if isinstance(value, str | int)},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        graft_version=version("graft-zoo"),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))


T = TypeVar("T")


def spread(items: tuple[T, ...], most: int) -> list[T]:
    """At most `most` items, evenly over all of them: splits may be sorted by class."""
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[place] for place in places]


def _named(images: Iterable[NamedImage | NDArray[np.uint8]]) -> Iterator[NamedImage]:
    for index, image in enumerate(images):
        yield image if isinstance(image, tuple) else (f"image {index}", image)


@contextlib.contextmanager
def _ready(graph: Classifier) -> Iterator[Classifier]:
    """The graph on the CPU and in evaluation mode, its network afterwards as it was."""
    training = [module for module in graph.modules() if module.training]
    device = next(graph.net.parameters(), torch.empty(0)).device
    graph.eval().cpu()
    try:
        with torch.no_grad():
            yield graph
    finally:
        graph.to(device)
        for module in training:
            module.training = True


def check_graph(graph: Classifier, task: str, labels: tuple[str, ...]) -> None:
    """Refuse what no export could put right."""
    tensors = [*graph.parameters(), *graph.buffers()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if size > MAX_BYTES:
        raise ExportError(f"the network takes {size / 2**30:.1f} GiB; one ONNX file holds less than 2 GiB")
    other = {str(t.dtype) for t in tensors if t.is_floating_point() and t.dtype != torch.float32}
    if other:
        raise ExportError(
            f"the network holds {', '.join(sorted(other))}; expected float32: call net.float() first"
        )
    rule = getattr(graph.preprocess, "rule", "squash")
    if task == "segmentation" and rule != "squash":
        raise ExportError(f"input.resize is {rule!r}; a mask that covers the whole image needs 'squash'")
    if task == "segmentation" and len(labels) > MAX_MASK_CLASSES:
        raise ExportError(f"{len(labels)} classes; a mask of uint8 tells at most {MAX_MASK_CLASSES} apart")
    classes = graph.net(graph.preprocess(torch.zeros(EXAMPLE_SHAPE, dtype=torch.uint8))).shape[1]
    if classes != len(labels):
        raise ExportError(f"the network answers {classes} classes; expected {len(labels)}, one a label")


def _trace(graph: nn.Module, task: str, opset: int) -> onnx.ModelProto:
    """The graph as ONNX, for any batch, height and width.

    Raises: ExportError when the network does something that ONNX cannot say.
    """
    axes = {0: "batch", 1: "height", 2: "width"}
    try:
        with _quiet():
            program = torch.onnx.export(
                graph,
                (torch.zeros(EXAMPLE_SHAPE, dtype=torch.uint8),),
                input_names=[INPUT_NAME],
                output_names=[OUTPUTS[task].name],
                dynamic_shapes=(axes,),
                opset_version=opset,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter wraps every failure in classes of its own, some of them private
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ExportError(f"the network cannot be written as ONNX: {reason}") from error
    assert program is not None
    model = program.model_proto
    strip_notes(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the exporter wrote an ONNX file that is not valid: {error}") from error
    return model


def _check_parity(
    model: onnx.ModelProto,
    graph: Classifier,
    task: str,
    labels: tuple[str, ...],
    images: Iterable[NamedImage],
) -> Parity:
    """Raises: ExportError when the rule is broken."""
    session = open_session(model)
    parity, bad = measure_parity(
        artifact=lambda batch: cast(NDArray[np.generic], session.run(None, {INPUT_NAME: batch})[0]),
        network=lambda batch: graph.expect(torch.from_numpy(batch)),
        images=images,
        task=task,
        labels=labels,
    )
    if bad:
        raise ExportError(
            f"{describe_failure(parity, bad)}\nNo file was written. Try another opset: "
            "`python -m serve export RUN --opset 18`, of a run that is trained"
        )
    return parity


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warnings, log lines or progress from the exporter: they speak of its inside."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
