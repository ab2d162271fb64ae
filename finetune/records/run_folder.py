"""The files of a run's folder. Each is written completely or not at all, by one process at a time."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from files import Manifest
from finetune.records.disk import explain_write_errors
from zoo.errors import GraftError

RUNS = Path("runs")
"""Where run folders are made."""
MAX_NAME = 40
SHOWN_LINES = 3
"""Changed lines that a message shows."""
LATEST = "latest"
"""The file in a checkpoint that names its newest state."""


class InterruptedRun(KeyboardInterrupt):
    """Ctrl-C during a run; `folder` is the run that can be continued."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run, in `runs/<spec name>/<data set>-<date>-<time>/`."""

    path: Path

    @property
    def manifest(self) -> Manifest:
        """The hash of every file that the run wrote."""
        return Manifest(self.path)

    @property
    def recipe(self) -> Path:
        """The spec as given, with its overrides."""
        return self.path / "recipe.yaml"

    @property
    def network(self) -> Path:
        """Which network was chosen, and why, where the spec leaves that open."""
        return self.path / "network.json"

    @property
    def chosen(self) -> Path:
        """The spec of the chosen network, with the settings of the spec as given."""
        return self.path / "network.yaml"

    @property
    def spec(self) -> Path:
        """The resolved spec, which repeats the run."""
        return self.path / "spec.yaml"

    @property
    def splits(self) -> Path:
        """Which image is in which split."""
        return self.path / "splits.json"

    @property
    def health(self) -> Path:
        """What looks wrong with the images: a table that `data.exclude` reads."""
        return self.path / "health.csv"

    @property
    def plan(self) -> Path:
        """The plan: strategy, evidence, reasons."""
        return self.path / "plan.json"

    @property
    def log(self) -> Path:
        """One line of numbers per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The state from which interrupted training resumes."""
        return self.path / "checkpoint"

    @property
    def weights(self) -> Path:
        """The best weights."""
        return self.path / "model.safetensors"

    @property
    def trained(self) -> Path:
        """How the network was trained; written when training has ended."""
        return self.path / "trained.json"

    @property
    def folds(self) -> Path:
        """The trainings of cross-validation, each until its answers are written."""
        return self.path / "folds"

    def fold_answers(self, fold: int) -> Path:
        """Return the answers for the images that were held out in this fold, counted from 1."""
        return self.path / f"fold-{fold}.safetensors"

    @property
    def novelty(self) -> Path:
        """The numbers by which the model file says how unlike the training images an image is."""
        return self.path / "novelty.safetensors"

    @property
    def onnx(self) -> Path:
        """The artifact."""
        return self.path / "model.onnx"

    @property
    def report(self) -> Path:
        """The result of the run; it exists once the run is finished."""
        return self.path / "report.json"

    @property
    def page(self) -> Path:
        """The same for a person to look at, with pictures."""
        return self.path / "report.html"


@dataclass(frozen=True)
class DraftFolder(RunFolder):
    """A run's folder for training whose weights are not the run's result yet."""

    @property
    def members(self) -> Path:
        """The weights that the result is made of."""
        return self.path / "members"

    @property
    def weights(self) -> Path:
        """The best weights of that training."""
        return self.members / "best.safetensors"


def new_folder(root: Path, spec: str, data: str) -> RunFolder:
    """Make a run folder below `root`, named by the data set, the time in seconds and, if needed, a number."""
    stem = f"{safe_name(data)}-{datetime.now():%Y%m%d-%H%M%S}"
    with explain_write_errors(root / spec):
        (root / spec).mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = root / spec / (f"{stem}-{number}" if number > 1 else stem)
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return RunFolder(path)
    raise AssertionError("count has no end")


def safe_name(name: str) -> str:
    """Return the name with only letters, digits, dots and dashes, for files on every system."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:MAX_NAME] or "data"


def find_unfinished(root: Path, name: str) -> RunFolder:
    """Return the newest run of that spec that is not finished.

    Raises: GraftError when there is none.
    """
    runs = [RunFolder(path.parent) for path in (root / name).glob("*/recipe.yaml")]
    unfinished = [run for run in runs if not run.report.exists()]
    if not unfinished:
        raise GraftError(
            f"{root / name}: no unfinished run to resume ({len(runs)} finished); start one without --resume"
        )
    return max(unfinished, key=lambda run: (run.recipe.stat().st_mtime_ns, run.path.name))


def is_first_process() -> bool:
    """Whether this is the first, or only, of the processes that train a run together."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def lock_folder(folder: RunFolder) -> Iterator[None]:
    """Keep other processes from running in the folder; a killed process leaves no lock behind.

    Of several processes that train one run together, the first holds the lock.
    Raises: GraftError at once when another process holds it, with its number.
    """
    if not is_first_process():
        yield
        return
    lock, holder = FileLock(folder.path / ".lock"), folder.path / ".holder"
    try:
        with explain_write_errors(folder.path):
            folder.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
    except Timeout as error:
        held_by = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
        raise GraftError(
            f"{folder.path}: {held_by} is working in this folder\n"
            "  expected: wait until it has ended, or another --run"
        ) from error
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def read_labels(folder: RunFolder) -> tuple[str, ...]:
    """Return the classes of a run, in the order of its network's outputs."""
    return tuple(json.loads(folder.splits.read_text(encoding="utf-8"))["classes"])


def describe_changes(old: str, new: str) -> str:
    """Return the first lines in which two texts differ, in one line, for a message."""
    before, after = old.splitlines(), new.splitlines()
    removed = [line.strip() for line in before if line not in after]
    added = [line.strip() for line in after if line not in before]
    if not removed:
        return f"new is: {_first_lines(added)}"
    if not added:
        return f"missing is: {_first_lines(removed)}"
    return f"before: {_first_lines(removed)}, now: {_first_lines(added)}"


def _first_lines(lines: Sequence[str]) -> str:
    more = f" and {len(lines) - SHOWN_LINES} lines more" if len(lines) > SHOWN_LINES else ""
    return "; ".join(lines[:SHOWN_LINES]) + more
