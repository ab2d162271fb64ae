"""Sending the numbers of each epoch to TensorBoard, Weights & Biases or MLflow, through accelerate."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from finetune.engine.callbacks import Callback
from finetune.engine.state import TrainState
from finetune.records.metrics_log import EpochRecord
from zoo.errors import GraftError

PROJECT = "graft"


@dataclass(frozen=True)
class TrackedRun:
    """The run that is tracked: its folder, its name, and its spec as YAML."""

    folder: Path
    name: str
    spec: str


class Trackers(Callback):
    """Sends each epoch's record to the trackers of these names."""

    def __init__(self, names: Sequence[str], run: TrackedRun) -> None:
        self.names, self.run = names, run
        self.trackers: list[Any] = []

    def on_train_start(self, state: TrainState, *, resumed: bool) -> None:
        """Open the trackers.

        Raises: GraftError when the library of one is not installed, or the tracker does not open.
        """
        for name in self.names:
            if find_spec(name) is None:
                raise GraftError(
                    f"finetune.trackers: {name} is not installed\n"
                    f"  expected: `pip install {name}`, or finetune.trackers without it"
                )
        self.trackers += [_open(name, self.run, state.epoch) for name in self.names]

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Send all numbers of the record."""
        values = flatten(asdict(record))
        for tracker in self.trackers:
            tracker.log(values, step=record.epoch)

    def close(self) -> None:
        """Close the trackers."""
        for tracker in self.trackers:
            tracker.finish()


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, float]:
    """Return the numbers by path: `{"a": {"b": 1}, "c": [2, 3]}` gives `a/b`, `c/0` and `c/1`."""
    numbers: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            numbers |= flatten(value, f"{prefix}{key}/")
        elif isinstance(value, (list, tuple)):
            numbers |= flatten({str(i): item for i, item in enumerate(value)}, f"{prefix}{key}/")
        elif isinstance(value, (int, float)):
            numbers[prefix + key] = float(value)
    return numbers


def _open(name: str, run: TrackedRun, epoch: int) -> Any:  # noqa: ANN401  (accelerate is not typed)
    try:
        return OPEN[name](run, epoch)
    except Exception as error:  # each library has its own: no account, no server, a full disk
        raise GraftError(f"finetune.trackers: {name} does not open: {error}") from error


def _open_tensorboard(run: TrackedRun, epoch: int) -> Any:  # noqa: ANN401
    from accelerate.tracking import TensorBoardTracker

    # Hides what a killed run wrote of the epoch that is run again.
    tracker = TensorBoardTracker("tensorboard", run.folder, purge_step=epoch + 1)
    tracker.start()
    tracker.writer.add_text("spec", "\n".join("    " + line for line in run.spec.splitlines()), epoch)
    return tracker


def _open_wandb(run: TrackedRun, epoch: int) -> Any:  # noqa: ANN401
    from accelerate.tracking import WandBTracker

    folder = str(run.folder.resolve())
    identity = hashlib.sha256(folder.encode()).hexdigest()[:16]
    tracker = WandBTracker(PROJECT, name=run.name, id=identity, resume="allow", dir=folder)
    tracker.start()
    tracker.store_init_configuration({"spec": run.spec})
    return tracker


def _open_mlflow(run: TrackedRun, epoch: int) -> Any:  # noqa: ANN401
    from accelerate.tracking import MLflowTracker

    tracker = MLflowTracker(PROJECT, run_name=run.name, description=run.spec)
    tracker.start()
    return tracker


OPEN: dict[str, Callable[[TrackedRun, int], Any]] = {
    "tensorboard": _open_tensorboard,
    "wandb": _open_wandb,
    "mlflow": _open_mlflow,
}
