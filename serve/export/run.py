"""Export a finished run."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from safetensors import SafetensorError

import zoo
from finetune.models.novelty import THRESHOLD
from finetune.records.report import Export
from pixels import ImageError
from serve.artifact import FILE_NAME, ArtifactError, Metadata, SetLimit, UnknownLimit
from serve.export.onnx_file import export_onnx
from serve.tasks import find_task
from zoo.errors import GraftError

if TYPE_CHECKING:
    from finetune.config.export import ExportSettings
    from finetune.finished import FinishedRun

EXPORTER = "onnx"
"""The exporter's name in report.json."""

T = TypeVar("T")


def export_run(run: FinishedRun) -> Export:
    """Write `model.onnx` into the run's folder, checked on its validation images.

    Out: the entry in report.json.
    Raises: ExportError if the network cannot be exported, or the file would answer differently.
    """
    settings = cast("ExportSettings", run.spec.sections["export"])
    path = run.folder / FILE_NAME
    parity = export_onnx(
        run.calibrated,
        run.preprocess,
        run.labels,
        path,
        task=run.task,
        metadata=describe_run(run),
        images=((image.name, image.read()) for image in spread(run.val.images, settings.parity_images)),
        opset=settings.opset,
    )
    return Export(path.name, find_task(run.task).summary(parity), parity.to_dict())


def export_folder(folder: str | Path, opset: int | None = None) -> Export:
    """Export the run in a folder again, with another `export.opset` if one is given.

    Raises: ArtifactError if the run, its files or its images are unusable, or the export fails.
    """
    from finetune.finished import load_run  # imports all of training, which export_onnx does not need
    from finetune.records.report import add_export
    from finetune.records.verify import change_run

    try:
        with change_run(folder, but=(FILE_NAME,)) as found:
            run = load_run(found.path, but=(FILE_NAME,))
            if opset is not None:
                run = replace(run, spec=zoo.override(run.spec, {"export.opset": opset}))
            written = export_run(run)
            add_export(found, EXPORTER, written)
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


def describe_run(run: FinishedRun) -> Metadata:
    """Return the metadata of a run's model file, with those metrics that are one number."""
    found = run.calibration
    least = None if found is None else found.set_probability
    return Metadata(
        task=run.task,
        labels=run.labels,
        spec=run.spec.name,
        spec_sha256=run.spec.sha256,
        metrics={key: value for key, value in run.metrics.items() if _is_number(value)},
        weights={key: value for key, value in asdict(run.weights_origin).items() if value is not None},
        unknown=None if found is None else UnknownLimit(THRESHOLD, found.kept),
        sets=None if found is None or least is None else SetLimit(least, found.set_level),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        graft_version=version("graft-zoo"),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))


def spread(items: tuple[T, ...], most: int) -> list[T]:
    """Return at most `most` items, evenly spaced over all of them: splits may be sorted by class."""
    positions = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[position] for position in positions]
