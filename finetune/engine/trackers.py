"""Sending the numbers of each epoch to TensorBoard, Weights & Biases or MLflow, through accelerate."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.engine.callbacks import Callback
from finetune.engine.state import TrainState
from finetune.records.metrics_log import EpochRecord
from zoo.errors import GraftError

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

PROJECT = "graft"


class Trackers(Callback):
    """Sends each epoch's record to trackers; `folder`, `run` name and `spec` describe the run to them."""

    def __init__(self, names: Sequence[str], folder: Path, run: str, spec: str) -> None:
        self.names, self.folder, self.run, self.spec = names, folder, run, spec
        self.trackers: list[GeneralTracker] = []

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
        for name in self.names:
            try:
                self.trackers.append(self._open(name, state.epoch))
            except Exception as error:  # each library has its own: no account, no server, a full disk
                raise GraftError(f"finetune.trackers: {name} does not open: {error}") from error

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Send all numbers of the record."""
        values = flatten(asdict(record))
        for tracker in self.trackers:
            tracker.log(values, step=record.epoch)

    def close(self) -> None:
        """Close the trackers."""
        for tracker in self.trackers:
            tracker.finish()

    def _open(self, name: str, epoch: int) -> GeneralTracker:
        from accelerate import tracking

        if name == "mlflow":
            tracker = tracking.MLflowTracker(PROJECT, run_name=self.run, description=self.spec)
        elif name == "wandb":
            folder = str(self.folder.resolve())
            identity = hashlib.sha256(folder.encode()).hexdigest()[:16]  # a resumed run continues its own
            tracker = tracking.WandBTracker(PROJECT, name=self.run, id=identity, resume="allow", dir=folder)
        else:  # the purge hides what a killed run wrote of the epoch that is run again
            tracker = tracking.TensorBoardTracker("tensorboard", self.folder, purge_step=epoch + 1)
        tracker.start()
        if name == "wandb":
            tracker.store_init_configuration({"spec": self.spec})
        elif name == "tensorboard":
            tracker.writer.add_text("spec", textwrap.indent(self.spec, "    "), epoch)
        return tracker


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
