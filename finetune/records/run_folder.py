"""The files of a run's folder. Each is written completely or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from zoo.errors import GraftError

Record = TypeVar("Record")
RUNS = Path("runs")
"""Where run folders are made."""


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run, in `runs/<spec name>/<id>/`."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The spec as given, with its overrides."""
        return self.path / "recipe.yaml"

    @property
    def spec(self) -> Path:
        """The resolved spec, which repeats the run."""
        return self.path / "spec.yaml"

    @property
    def splits(self) -> Path:
        """Which image is in which split."""
        return self.path / "splits.json"

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
    def onnx(self) -> Path:
        """The artifact."""
        return self.path / "model.onnx"

    @property
    def report(self) -> Path:
        """The result of the run; it exists once the run is finished."""
        return self.path / "report.json"


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


def new_folder(root: Path, name: str) -> RunFolder:
    """Make a run folder under `root`, named by the time in seconds and, if that exists, a number."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    parent = root / name
    parent.mkdir(parents=True, exist_ok=True)
    for suffix in range(1, 1000):
        path = parent / (stamp if suffix == 1 else f"{stamp}-{suffix}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return RunFolder(path)
    raise GraftError(f"{parent}: a thousand runs in one second; expected a free folder name")


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
    return max(unfinished, key=lambda run: run.path.name)


def read_labels(folder: RunFolder) -> tuple[str, ...]:
    """Return the classes of a run, in the order of its network's outputs."""
    return tuple(json.loads(folder.splits.read_text())["classes"])


def describe_changes(old: str, new: str) -> str:
    """Return the lines in which two texts differ, in one line, for a message."""
    before, after = old.splitlines(), new.splitlines()
    removed = "; ".join(line.strip() for line in before if line not in after)
    added = "; ".join(line.strip() for line in after if line not in before)
    return f"before: {removed or 'nothing'}, now: {added or 'nothing'}"


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader finds either the old text or the new one, complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def keep_other(path: Path, text: str) -> Path | None:
    """Rename a file that holds another text: it may have been edited. Out: its new path, if renamed."""
    if not path.exists() or path.read_bytes() == text.encode():
        return None
    stem = f"{path.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (path.with_stem(f"{stem}-{number}" if number > 1 else stem) for number in count(1))
    return path.rename(next(name for name in names if not name.exists()))


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Write indented JSON, as `write_text`."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def write_record(path: Path, schema: TypeAdapter[Record], record: Record) -> None:
    """Write a record as JSON, as `write_text`."""
    write_text(path, schema.dump_json(record, indent=2).decode() + "\n")


def read_record(path: Path, schema: TypeAdapter[Record]) -> Record:
    """Read what `write_record` wrote. Raises: GraftError when the file is missing or damaged."""
    try:
        return schema.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
        raise GraftError(
            f"{path}: missing or damaged: {reason}\n  expected: the file as the run wrote it"
        ) from error


def write_weights(path: Path, net: nn.Module) -> None:
    """Write the network's state dict as safetensors, completely or not at all."""
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in net.state_dict().items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    save_file(state, temporary)
    temporary.replace(path)


def read_weights(path: Path, net: nn.Module) -> None:
    """Load what `write_weights` wrote into a network of the same structure."""
    net.load_state_dict(load_file(path))
