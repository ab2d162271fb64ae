"""Export a finished run as int8, where it pays."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from files import remove
from finetune.records.report import Export
from serve.artifact import FILE_NAME, INT8_FILE_NAME
from serve.export.accuracy import MOST_LOST, TASK, describe_comparison
from serve.export.int8.choose import LEAST_FASTER, Choice, choose_int8
from serve.export.int8.quantize import Quantizer
from serve.export.onnx_file import write_model
from serve.export.parity import spread
from serve.model import read_metadata

if TYPE_CHECKING:
    from finetune.config.export import ExportSettings
    from finetune.finished import FinishedRun

CALIBRATION_IMAGES = 64


def export_int8(run: FinishedRun) -> Export | None:
    """Write `model.int8.onnx` beside the run's model.onnx, if it pays. None if the spec does not ask for it.

    The ranges of activations come from training images, accuracy and speed from validation images.
    Raises: ImageError if one of these cannot be read.
    """
    if cast("ExportSettings", run.spec.sections["export"]).int8 == "none":
        return None
    path = run.folder / INT8_FILE_NAME
    remove(path)
    if run.task != TASK:
        return Export(None, f"int8 is measured by accuracy; not tried for {run.task}")
    choice = quantize_run(run)
    if choice is None:
        return Export(None, "int8 was not tried: the network has no layers below its head")
    if choice.kept:
        metadata = read_metadata(run.folder / FILE_NAME)
        described = describe_comparison(metadata, _numbers(choice), len(run.val), choice.unlike)
        write_model(choice.model, described, path)
    return Export(path.name if choice.kept else None, _summary(choice, len(run.val)), _numbers(choice))


def quantize_run(run: FinishedRun) -> Choice | None:
    """Return the int8 version of a run's model.onnx; None if it is nothing but a head. Raises: ImageError."""
    source = run.folder / FILE_NAME
    images = [image.read() for image in spread(run.train.images, CALIBRATION_IMAGES)]
    unknown = read_metadata(source).unknown

    def read() -> Iterator[NDArray[np.uint8]]:
        return (image.read() for image in run.val.images)

    with tempfile.TemporaryDirectory() as folder:
        quantizer = Quantizer(source, images, Path(folder))
        if len(quantizer.layers) < 2:  # noqa: PLR2004  the head, which stays in float, and another one
            return None
        threshold = None if unknown is None else unknown.threshold
        return choose_int8(quantizer, source.read_bytes(), read, run.val.targets, threshold)


def _numbers(choice: Choice) -> dict[str, float | int]:
    return {
        "accuracy": round(choice.accuracy, 4),
        "float_accuracy": round(choice.float_accuracy, 4),
        "faster": round(choice.faster, 2),
        "float_layers": choice.float_layers,
        "layers": choice.layers,
    }


def _summary(choice: Choice, images: int) -> str:
    found = (
        f"int8, with {choice.float_layers} of {choice.layers} layers left in float: "
        f"{choice.faster:.2f} times as fast, {choice.accuracy:.1%} of {images} validation images right "
        f"instead of {choice.float_accuracy:.1%}"
    )
    if choice.kept:
        return found
    return f"{found}. Not kept: expected {LEAST_FASTER:g} times, and at most {MOST_LOST * 100:g} points lost"
