"""Find the exported models in a folder of runs: `runs/<spec>/<id>/model.onnx`, or `runs/<id>/model.onnx`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from pathlib import Path

from serve.artifact import FILE_NAME, ArtifactError, Metadata
from serve.model import read_metadata
from serve.predictor import Predictor
from serve.tasks import find_task
from serve.trial import try_model

MODELS_IN_MEMORY = 4


@dataclass(frozen=True)
class ExportedRun:
    """One model file; `name` is its path in its folder of runs, `<spec>/<id>`."""

    name: str
    path: Path
    metadata: Metadata
    written: datetime

    @property
    def title(self) -> str:
        """One line to choose it by: name and score."""
        return " · ".join(filter(None, (self.name, format_score(self.metadata).rpartition(" ")[2])))


@dataclass(frozen=True)
class FoundRuns:
    """The models of a folder of runs, newest first, and a message for each file that could not be read."""

    models: tuple[ExportedRun, ...]
    unreadable: tuple[str, ...]


def find_runs(runs: str | Path) -> FoundRuns:
    """Return the models in a folder of runs; none if the folder does not exist."""
    models, unreadable, root = [], [], Path(runs)
    for path in chain.from_iterable(root.glob(f"{folder}/{FILE_NAME}") for folder in ("*", "*/*")):
        try:
            models.append(_read_run(path, path.parent.relative_to(root).as_posix(), path.stat().st_mtime_ns))
        except (ArtifactError, OSError) as error:
            unreadable.append(str(error))
    models.sort(key=lambda model: (model.written, model.name), reverse=True)
    return FoundRuns(tuple(models), tuple(sorted(unreadable)))


def open_run(run: ExportedRun) -> Predictor:
    """Return the run's Predictor; the last few stay in memory. Raises: ArtifactError if it is refused."""
    return _open(run.path, run.path.stat().st_mtime_ns)


def format_score(metadata: Metadata) -> str:
    """Return the task's score with its title; empty if the file does not say."""
    key, title = find_task(metadata.task).score
    value = metadata.metrics.get(key)
    return f"{title} {value:.1%}" if isinstance(value, int | float) else ""


@lru_cache(maxsize=1024)
def _read_run(path: Path, name: str, changed_ns: int) -> ExportedRun:
    return ExportedRun(name, path, read_metadata(path), datetime.fromtimestamp(changed_ns / 1e9, UTC))


@lru_cache(maxsize=MODELS_IN_MEMORY)
def _open(path: Path, _changed_ns: int) -> Predictor:
    try_model(path)
    return Predictor(path)
