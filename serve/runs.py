"""The exported models under a folder of runs: `runs/<spec>/<id>/model.onnx`, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from serve.artifact import FILE_NAME, ArtifactError, Metadata, read_metadata
from serve.infer import Predictor

SCORES = {"classification": ("accuracy", "accuracy"), "segmentation": ("mean_iou", "mean IoU")}
MODELS_IN_MEMORY = 4


@dataclass(frozen=True)
class ExportedRun:
    """One model that can answer; `name` is `<spec>/<id>`, unique under its folder of runs."""

    name: str
    path: Path
    metadata: Metadata
    written: datetime

    @property
    def title(self) -> str:
        """One line to choose it by: spec, score, local date."""
        when = self.written.astimezone().strftime("%Y-%m-%d %H:%M")
        score = score_text(self.metadata).rpartition(" ")[2]
        return " · ".join(part for part in (self.metadata.spec or self.name, score, when) if part)


@dataclass(frozen=True)
class FoundRuns:
    """What lies under a folder of runs; `unreadable` holds a message for each file that is no model."""

    models: tuple[ExportedRun, ...]
    unreadable: tuple[str, ...]


def find_runs(runs: str | Path) -> FoundRuns:
    """Look for exported models; a folder that is not there holds none."""
    models, unreadable = [], []
    for path in Path(runs).glob(f"*/*/{FILE_NAME}"):
        try:
            models.append(_read_run(path, path.stat().st_mtime_ns))
        except (ArtifactError, OSError) as error:
            unreadable.append(str(error))
    newest_first = sorted(models, key=lambda model: (model.written, model.name), reverse=True)
    return FoundRuns(tuple(newest_first), tuple(sorted(unreadable)))


def open_run(run: ExportedRun) -> Predictor:
    """Its Predictor; the last few stay in memory."""
    return _open(run.path, run.path.stat().st_mtime_ns)


def score_text(metadata: Metadata) -> str:
    """The score of a model's task in words; empty when the file does not say."""
    key, words = SCORES[metadata.task]
    value = metadata.metrics.get(key)
    return f"{words} {value:.1%}" if isinstance(value, int | float) else ""


@lru_cache(maxsize=1024)
def _read_run(path: Path, changed_ns: int) -> ExportedRun:
    name = f"{path.parent.parent.name}/{path.parent.name}"
    return ExportedRun(name, path, read_metadata(path), datetime.fromtimestamp(changed_ns / 1e9, UTC))


@lru_cache(maxsize=MODELS_IN_MEMORY)
def _open(path: Path, _changed_ns: int) -> Predictor:
    return Predictor(path)
