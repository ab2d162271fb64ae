"""Folders of runs, finished or broken off, with one file damaged: the same result as without, or refused."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

import finetune
from bench.fuzz.case import Case, Kind, WrongError, refused
from bench.fuzz.kinds.small import QUIET, write_spec
from bench.fuzz.mutate import alter, damage
from finetune.finished import load_run, show_run
from finetune.records.metrics_log import EpochRecord, append_record
from pixels import ImageError
from serve.artifact import ArtifactError
from serve.predictor import Predictor
from zoo.errors import GraftError

FINISHED, BROKEN = "finished", "broken"
ANSWERS, NOTHING = "answers", torch.empty(0)
EPOCH = 3
"""In which the broken run ends: with the checkpoint of the epoch before."""
SHARE_OF_BROKEN = 0.3
WORDS = ("version", "epoch", "metrics", "accuracy", "classes", "train", "val", "images", "strategy", "sha256")
JSON = (".json", ".jsonl")


class _StopError(Exception):
    pass


def _prepare(folder: Path) -> None:
    from finetune.engine import trainer

    spec = write_spec(folder)
    torch.set_num_threads(1)  # as in the cases: sums depend on it

    def append_until(log: Path, record: EpochRecord) -> None:
        if record.epoch >= EPOCH:
            raise _StopError
        append_record(log, record)

    finetune.run(spec, run=folder / FINISHED, console=QUIET)
    with mock.patch.object(trainer, "append_record", append_until):
        try:
            finetune.run(spec, run=folder / BROKEN, console=QUIET)
        except _StopError:
            return
    raise AssertionError("the run was not broken off")


def _open(folder: Path) -> Case:
    torch.set_num_threads(1)
    spec, right = folder / "small.yaml", _result(folder / FINISHED)

    def check(draw: random.Random, empty: Path) -> str:
        which = BROKEN if draw.random() < SHARE_OF_BROKEN else FINISHED
        run = shutil.copytree(folder / which, empty / which)
        return judge(run, _spoil(run, draw))

    def judge(run: Path, what: str) -> str:
        which = run.name
        try:
            with mock.patch("finetune.api.export", lambda _run: {}):  # it takes most of the time
                finetune.run(spec, run=run, console=QUIET)
            show_run(run, console=QUIET)
            load_run(run)
            found = _result(run)
        except (GraftError, ArtifactError, ImageError) as error:
            return f"{which} {refused(error)}"
        for name, value in right.items():
            if not torch.equal(found.get(name, NOTHING), value) and (name != ANSWERS or which == FINISHED):
                raise WrongError(f"{name} differs after {what}")
        return f"{which} the same"

    with tempfile.TemporaryDirectory(prefix="graft-fuzz-") as empty:  # also imports what all cases need
        whole = judge(shutil.copytree(folder / BROKEN, Path(empty) / BROKEN), "nothing")
    assert whole == f"{BROKEN} the same", whole
    return check


def _result(run: Path) -> dict[str, Tensor]:
    """Return what a run is for: weights, metrics, and the answers of its model."""
    metrics = show_run(run, console=QUIET).metrics
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    has_model = (run / "model.onnx").exists() or run.name == FINISHED
    weights = load_file(run / "model.safetensors") if (run / "model.safetensors").exists() else {}
    return {
        **{f"weight {name}": tensor for name, tensor in weights.items()},
        **{f"metric {name}": torch.tensor(value) for name, value in metrics.items()},
        **({ANSWERS: torch.from_numpy(Predictor(run, threads=1).output(image))} if has_model else {}),
    }


def _spoil(run: Path, draw: random.Random) -> str:
    """Damage one file; return what was done."""
    files = sorted(path for path in run.rglob("*") if path.is_file() and not path.name.startswith("."))
    path = draw.choice(files)
    content = path.read_bytes()
    how = draw.choice(("damage", "damage", "cut", "empty", "remove", "swap", "alter"))
    match how:
        case "cut":
            path.write_bytes(content[: draw.randrange(len(content) or 1)])
        case "empty":
            path.write_bytes(b"")
        case "remove":
            path.unlink()
        case "swap":
            path.write_bytes(draw.choice(files).read_bytes())
        case "alter" if path.suffix == ".json":
            document = alter(json.loads(content), draw, WORDS, draw.choice((1, 2)))
            path.write_text(json.dumps(document), encoding="utf-8")
        case _:
            path.write_bytes(damage(content, draw))
    return f"{how} of {path.relative_to(run)}"


KIND = Kind("runs", 500, _prepare, _open)
