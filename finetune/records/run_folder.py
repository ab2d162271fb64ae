"""A run's folder: what is written where, each file whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from zoo.errors import GraftError

RUNS = Path("runs")
"""Where run folders are made."""


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run: `runs/<spec name>/<id>/`."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The spec as it was asked for, overrides written in."""
        return self.path / "recipe.yaml"

    @property
    def spec(self) -> Path:
        """The resolved spec: what to type to get this run again."""
        return self.path / "spec.yaml"

    @property
    def splits(self) -> Path:
        """Which image is in which split."""
        return self.path / "splits.json"

    @property
    def plan(self) -> Path:
        """Strategy, evidence, reasons."""
        return self.path / "plan.json"

    @property
    def log(self) -> Path:
        """One line of numbers an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """Where training goes on after a kill."""
        return self.path / "checkpoint"

    @property
    def weights(self) -> Path:
        """The best weights."""
        return self.path / "model.safetensors"

    @property
    def trained(self) -> Path:
        """Written when training has ended: how it went."""
        return self.path / "trained.json"

    @property
    def onnx(self) -> Path:
        """The artifact."""
        return self.path / "model.onnx"

    @property
    def report(self) -> Path:
        """Test metrics, per class; its presence means that the run is whole."""
        return self.path / "report.json"


@dataclass(frozen=True)
class DraftFolder(RunFolder):
    """A run's folder as it is seen by training whose weights are not yet the run's result."""

    @property
    def members(self) -> Path:
        """Where weights lie that the result is made of."""
        return self.path / "members"

    @property
    def weights(self) -> Path:
        """The best weights of that training."""
        return self.members / "best.safetensors"


def new_folder(root: Path, name: str) -> RunFolder:
    """A fresh run folder under `root`, named by the time in seconds and, if taken, a number."""
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


def unfinished(root: Path, name: str) -> RunFolder:
    """The newest run of that spec that has no report yet.

    Raises: GraftError when every run has ended, or there is none.
    """
    runs = [RunFolder(path.parent) for path in (root / name).glob("*/recipe.yaml")]
    waiting = [run for run in runs if not run.report.exists()]
    if not waiting:
        raise GraftError(
            f"{root / name}: no unfinished run to resume ({len(runs)} finished); start one without --resume"
        )
    return max(waiting, key=lambda run: run.path.name)


def read_labels(folder: RunFolder) -> tuple[str, ...]:
    """The classes of a run, in the order of its network's outputs."""
    return tuple(json.loads(folder.splits.read_text())["classes"])


def describe_changes(old: str, new: str) -> str:
    """Return the lines in which two texts differ, in one line, for a message."""
    before, after = old.splitlines(), new.splitlines()
    removed = "; ".join(line.strip() for line in before if line not in after)
    added = "; ".join(line.strip() for line in after if line not in before)
    return f"before: {removed or 'nothing'}, now: {added or 'nothing'}"


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader finds the old text or the new, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def keep_other(path: Path, text: str) -> Path | None:
    """A file that holds another text goes on under a name with the time: it may be edited. Out: that name."""
    if not path.exists() or path.read_bytes() == text.encode():
        return None
    stem = f"{path.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (path.with_stem(f"{stem}-{number}" if number > 1 else stem) for number in count(1))
    return path.rename(next(name for name in names if not name.exists()))


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """`write_text` of JSON that a person can read."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def write_weights(path: Path, net: nn.Module) -> None:
    """The network's state dict as safetensors, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in net.state_dict().items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    save_file(state, temporary)
    temporary.replace(path)


def read_weights(path: Path, net: nn.Module) -> None:
    """Load what `write_weights` wrote into the same network."""
    net.load_state_dict(load_file(path))
