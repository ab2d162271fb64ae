"""Export a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from safetensors import SafetensorError

import zoo
from finetune.models.novelty import THRESHOLD
from finetune.records.report import Export
from pixels import ImageError
from serve.artifact import FILE_NAME, FILES, ArtifactError, Metadata, SetLimit, UnknownLimit
from serve.export.float16 import export_float16
from serve.export.int8.run import export_int8
from serve.export.onnx_file import export_onnx
from serve.export.parity import spread
from serve.tasks import find_task
from zoo.errors import GraftError

if TYPE_CHECKING:
    from finetune.config.export import ExportSettings
    from finetune.finished import FinishedRun


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


def export_folder(folder: str | Path, settings: Mapping[str, object]) -> list[Export]:
    """Export the run in a folder again, with these settings of `export` in place of the spec's.

    Out: the file, and what came of int8 if it was asked for.
    Raises: ArtifactError if the run, its files or its images are unusable, or the export fails.
    """
    from finetune.finished import load_run  # imports all of training, which export_onnx does not need
    from finetune.records.report import add_export
    from finetune.records.verify import change_run

    try:
        with change_run(folder, but=FILES) as found:
            run = load_run(found.path, but=FILES)
            own = {f"export.{key}": value for key, value in settings.items()}
            run = replace(run, spec=zoo.override(run.spec, own)) if own else run
            made = [export_run(run)]
            add_export(found, "onnx", made[0])
            for name, exporter in {"int8": export_int8, "float16": export_float16}.items():
                if (smaller := exporter(run)) is not None:
                    add_export(found, name, smaller)
                    made.append(smaller)
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
    return made


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
