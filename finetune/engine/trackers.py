"""Sending the numbers of each epoch elsewhere, through accelerate's trackers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from finetune.records.run_folder import RunFolder
from zoo.errors import GraftError

PROJECT = "graft"
TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class Tracked:
    """The run that is tracked: its folder, how it is called, its spec, and the epochs that are done."""

    folder: RunFolder
    name: str
    spec: str
    epoch: int


Track = Callable[[Mapping[str, object]], None]


def ignore(line: Mapping[str, object]) -> None:
    """Track nothing."""


@contextmanager
def tracking(names: Sequence[str], run: Tracked) -> Iterator[Track]:
    """Open the trackers of these names; inside the block each line given is sent to all of them.

    Raises: GraftError when the library of one is not installed, or does not open.
    """
    for name in names:
        if find_spec(name) is None:
            raise GraftError(
                f"finetune.trackers: {name} is not installed\n"
                f"  expected: `pip install {name}`, or finetune.trackers without it"
            )
    trackers = [_open(name, run) for name in names]

    def track(line: Mapping[str, object]) -> None:
        values = flatten(line)
        for tracker in trackers:
            tracker.log(values, step=line["epoch"])

    try:
        yield track
    finally:
        for tracker in trackers:
            tracker.finish()


def flatten(line: Mapping[str, object], prefix: str = "") -> dict[str, float]:
    """Numbers by path: `{"a": {"b": 1}, "c": [2, 3]}` gives `a/b`, `c/0` and `c/1`. Words are left out."""
    found: dict[str, float] = {}
    for key, value in line.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{prefix}{key}/")
        elif isinstance(value, (list, tuple)):
            found |= flatten({str(i): item for i, item in enumerate(value)}, f"{prefix}{key}/")
        elif isinstance(value, (int, float)):
            found[prefix + key] = float(value)
    return found


def _open(name: str, run: Tracked) -> Any:  # noqa: ANN401  (accelerate is not typed)
    try:
        return OPEN[name](run)
    except Exception as error:  # each library has its own: no account, no server, a full disk
        raise GraftError(f"finetune.trackers: {name} does not open: {error}") from error


def _tensorboard(run: Tracked) -> Any:  # noqa: ANN401
    from accelerate.tracking import TensorBoardTracker

    # What a broken-off run wrote of the epoch that is run again is hidden.
    tracker = TensorBoardTracker(TENSORBOARD, run.folder.path, purge_step=run.epoch + 1)
    tracker.start()
    tracker.writer.add_text("spec", "\n".join("    " + line for line in run.spec.splitlines()), run.epoch)
    return tracker


def _wandb(run: Tracked) -> Any:  # noqa: ANN401
    from accelerate.tracking import WandBTracker

    identity = hashlib.sha256(str(run.folder.path.resolve()).encode()).hexdigest()[:16]
    tracker = WandBTracker(
        PROJECT, name=run.name, id=identity, resume="allow", dir=str(run.folder.path.resolve())
    )
    tracker.start()
    tracker.store_init_configuration({"spec": run.spec})
    return tracker


def _mlflow(run: Tracked) -> Any:  # noqa: ANN401
    from accelerate.tracking import MLflowTracker

    tracker = MLflowTracker(PROJECT, run_name=run.name, description=run.spec)
    tracker.start()
    return tracker


OPEN: dict[str, Callable[[Tracked], Any]] = {
    TENSORBOARD: _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
