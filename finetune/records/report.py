"""report.json: the result of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from finetune.records.calibration import AnswerQuality, Calibration, Interval
from finetune.records.estimate import Estimate
from finetune.records.files import read_record, write_record
from finetune.records.run_folder import RunFolder
from finetune.records.training import TrainingRecord


@dataclass(frozen=True)
class SplitSizes:
    """The number of images in each split."""

    train: int
    val: int
    test: int


@dataclass(frozen=True)
class BrokenFile:
    """An image that cannot be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class PredictedAccuracy:
    """The test accuracy that the plan predicted, and the actual one."""

    predicted: Estimate
    actual: float


@dataclass(frozen=True)
class PredictedMinutes:
    """The duration of training that the plan predicted, and the actual one."""

    predicted: float
    actual: float


@dataclass(frozen=True)
class Outcome:
    """The plan's predictions beside the results; None for what was not predicted or not measured."""

    accuracy: PredictedAccuracy | None = None
    minutes: PredictedMinutes | None = None


@dataclass(frozen=True)
class StartingWeights:
    """The pretrained weights that training started from. `classes` is None if their number is not known."""

    name: str
    origin: str
    licence: str
    sha256: str
    classes: int | None


@dataclass(frozen=True)
class NoWeights:
    """Training started without pretrained weights; `none` is the reason."""

    none: str


WeightsOrigin = StartingWeights | NoWeights


@dataclass(frozen=True)
class Export:
    """A file that an exporter wrote into the run's folder; `file` is None if none was worth keeping.

    `summary` is one line about the check of the file, `numbers` are its measurements.
    """

    file: str | None
    summary: str
    numbers: Mapping[str, float | int | str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class CrossValidation:
    """The accuracy over all `images` of `folds` folds, each answered by a network that did not learn from it,
    and the accuracy in each fold."""

    folds: int
    images: int
    accuracy: Interval
    each: tuple[float, ...]


@dataclass(frozen=True)
class Report:
    """The result of a run: metrics, what they were measured on, and the exported files.

    `metrics` and `classes` (label -> metric -> value) are measured on the split `measured_on`, or on the
    out-of-fold answers of cross-validation, and so are `intervals` and `class_intervals`, by the same names;
    `confusion` counts images by true and by predicted class. `remarks` are conclusions from the log,
    `advice` is about settings that would probably pay.
    `calibration` and `quality` are None for tasks without probabilities.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    spec: str
    task: str
    strategy: str
    images: SplitSizes
    measured_on: Literal["test", "val", "folds"]
    metrics: Mapping[str, float]
    classes: Mapping[str, Mapping[str, float]]
    confusion: tuple[tuple[int, ...], ...] | None
    training: TrainingRecord
    remarks: tuple[str, ...]
    weights: WeightsOrigin
    broken: tuple[BrokenFile, ...]
    warnings: tuple[str, ...]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    class_intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    calibration: Calibration | None = None
    quality: AnswerQuality | None = None
    cross_validation: CrossValidation | None = None
    advice: tuple[str, ...] = ()
    outcome: Outcome = field(default_factory=Outcome)
    exports: Mapping[str, Export] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def measured_images(self) -> int:
        """The number of images on which the metrics were measured."""
        if self.cross_validation is not None and self.measured_on == "folds":
            return self.cross_validation.images
        return self.images.test if self.measured_on == "test" else self.images.val

    @property
    def measured_kind(self) -> str:
        """What these images are called, such as `test images`."""
        if self.cross_validation is not None and self.measured_on == "folds":
            return f"images in {self.cross_validation.folds}-fold cross-validation"
        return "test images" if self.measured_on == "test" else "validation images"


REPORT = TypeAdapter(Report)


def write_report(folder: RunFolder, report: Report) -> None:
    """Write the report of a run."""
    write_record(folder.report, REPORT, report)


def read_report(folder: RunFolder) -> Report:
    """Read the report of a finished run. Raises: GraftError when it is missing or damaged."""
    return read_record(folder.report, REPORT)


def add_export(folder: RunFolder, name: str, export: Export) -> None:
    """Put the result of an exporter into the report and the manifest of a finished run."""
    if export.file is not None:
        folder.manifest.add(folder.path / export.file)
    report = read_report(folder)
    write_report(folder, replace(report, exports={**report.exports, name: export}))
