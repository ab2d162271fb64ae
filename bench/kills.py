"""Kill runs at random moments, resume and compare them: `python -m bench.kills --count 200`.

Every run starts with an empty cache, so that its plan is measured in the process that is killed. Weights, the
numbers of every epoch and the metrics must be equal bit by bit.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import yaml
from PIL import Image

import finetune
import finetune.api
import zoo
from finetune.records.files import write_weights
from finetune.records.run_folder import RunFolder
from finetune.runtime.console import QUIET
from finetune.search import search

NETWORK = """
name: small
input: {height: 16, width: 16, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}
classes: 4
head: fc
stages: [layer1, layer2]
choices: {norm: batch_norm, act: relu, drop: {dropout: {p: 0.1}}}
weights: {default: {file: small.safetensors, licence: none}}
layers:
  conv1: {conv: {out: 16, kernel: 3, padding: 1, bias: false}}
  bn1: norm
  relu: act
  layer1:
    conv: {conv: {out: 16, kernel: 3, padding: 1, bias: false}}
    bn: norm
    relu: act
  layer2:
    conv: {conv: {out: 32, kernel: 3, stride: 2, padding: 1, bias: false}}
    bn: norm
    shortcut: {projection: {out: 32, stride: 2}, from: input}
    sum: {add: {}, from: [bn, shortcut]}
    relu: act
  avgpool: {adaptive_avg_pool: {size: 1}}
  flatten: flatten
  drop: drop
  fc: {linear: {out: $classes}}
"""
COMMON: dict[str, object] = {
    "finetune.epochs": 3,
    "finetune.batch_size": 16,
    "finetune.trackers": [],
    "export.parity_images": 4,
}
FLOAT32: dict[str, object] = {"finetune.precision": "float32"}
KINDS: Mapping[str, dict[str, object]] = {
    "plan": {},
    "probe": {"finetune.strategy": "linear_probe"},
    "stage_probe": {"finetune.strategy": "stage_probe"},
    "partial": {"finetune.strategy": "partial", **FLOAT32},
    "full": {"finetune.strategy": "full", "finetune.ema": {"decay": 0.9}},
    "snapshots": {
        "finetune.strategy": "full",
        "finetune.schedule": {"cosine_restarts": {"cycles": 3}},
        "finetune.ensemble": {"snapshots": 2},
        **FLOAT32,
    },
    "bagging": {"finetune.strategy": "full", "finetune.ensemble": {"bagging": 2}, **FLOAT32},
    "search": {
        "finetune.strategy": "full",
        "search": {"trials": 3, "epochs": 2, "space": {"finetune.learning_rate": {"log": [0.01, 0.1]}}},
        **FLOAT32,
    },
}
"""What is killed, and what it sets in the spec."""
AGAIN = 0.3
"""The share of resumed runs that are killed once more."""
LIMIT_S = 600.0
FORK = multiprocessing.get_context("fork")
"""A copy of this process, which has imported everything, starts in no time."""


@dataclass
class Kills:
    """Runs in a folder; `unbroken` holds what runs without a kill gave, by kind and arithmetic."""

    folder: Path
    spec: Path
    images: Path
    exports: bool
    random: random.Random
    unbroken: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, kind: str, run: Path, cache: Path, given: Mapping[str, object], limit_s: float) -> bool:
        """Run in a process of its own, and kill it after that time. Return whether it ended before."""
        values = COMMON | dict(KINDS[kind]) | {"finetune.cache": str(cache)} | dict(given)
        process = FORK.Process(target=self.run_here, args=(kind, run, values))
        process.start()
        process.join(limit_s)
        if process.exitcode is None:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            return False
        if process.exitcode != 0:
            raise RuntimeError(f"{kind} ended with {process.exitcode}: {(run / 'error.txt').read_text()}")
        return True

    def expected(self, kind: str, arithmetic: object) -> dict[str, Any]:
        """Return what an unbroken run of that kind gives in that arithmetic."""
        key = (kind, json.dumps(arithmetic))
        if key not in self.unbroken:
            start, run = time.monotonic(), self.folder / f"{kind}-unbroken-{len(self.unbroken)}"
            given = {} if arithmetic is None else {"finetune.precision": arithmetic}
            assert self.run(kind, run, run.with_suffix(".cache"), given, LIMIT_S), f"{kind} takes too long"
            self.seconds.setdefault(kind, time.monotonic() - start)
            found = read_result(run)
            self.unbroken[key] = self.unbroken[kind, json.dumps(found["arithmetic"])] = found
        return self.unbroken[key]

    def kill(self, kind: str, number: int) -> tuple[str, list[float]]:
        """Kill a run, resume it, and compare. Out: what differs or '', and when it was killed."""
        self.expected(kind, None)
        run, moments = self.folder / f"{kind}-{number:04d}", list[float]()
        ended = False
        while not ended:
            again = not moments or self.random.random() < AGAIN
            limit_s = self.random.uniform(0, self.seconds[kind]) if again else LIMIT_S
            ended = self.run(kind, run, run.with_suffix(".cache"), {}, limit_s)
            moments += [] if ended else [limit_s]
        found = read_result(run)
        wanted = self.expected(kind, found["arithmetic"])
        different = [name for name, value in found.items() if wanted[name] != value]
        if not different:
            shutil.rmtree(run)
            shutil.rmtree(run.with_suffix(".cache"))
        return f"{run}: {', '.join(different)}" if different else "", moments

    def run_here(self, kind: str, run: Path, values: Mapping[str, object]) -> None:
        """Run in this process. What goes wrong stands in error.txt."""
        # Exporting takes most of the time of a small run.
        exporting = nullcontext() if self.exports else mock.patch("finetune.api.export", return_value={})
        start = search if kind == "search" else finetune.api.run
        try:
            with exporting:
                start(self.spec, data=str(self.images), set=values, run=run, console=QUIET)
        except BaseException:
            run.mkdir(parents=True, exist_ok=True)
            (run / "error.txt").write_text(traceback.format_exc())
            raise


def main() -> int:
    """Kill the runs and print the counts; 1 when any resumed run differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="runs to kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS), help="kinds of runs")
    parser.add_argument("--export", action="store_true", help="export the runs as well, which takes longer")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    kills = Kills(
        folder,
        write_spec(folder),
        draw_images(folder / "images"),
        given.export,
        random.Random(given.seed),
    )
    torch.set_num_threads(1)  # a copy of a process has none of its other threads
    for kind in ("plan", "partial", "snapshots"):
        kills.run_here(kind, folder / "imports" / kind, COMMON | KINDS[kind])
    equal, killed, faults = Counter[str](), Counter[str](), list[str]()
    for number, kind in zip(range(given.count), itertools.cycle(given.only), strict=False):
        try:
            fault, moments = kills.kill(kind, number)
        except RuntimeError as error:
            fault, moments = str(error), [0.0]
        killed[kind] += len(moments)
        equal[kind] += not fault
        faults += [fault] if fault else []
        when = ", ".join(f"{moment:.2f}" for moment in moments) or "never"
        print(f"{number + 1}/{given.count} {kind}, killed after {when} s: {fault or 'equal'}", flush=True)
    for kind in given.only:
        print(
            f"{kind}: {killed[kind]} kills, {equal[kind]} runs equal; "
            f"an unbroken run takes {kills.seconds.get(kind, 0):.1f} s"
        )
    print(f"{sum(killed.values())} kills, {sum(equal.values())} of {given.count} runs equal bit by bit")
    print("\n".join(faults))
    return int(bool(faults))


KEPT = ("metrics", "classes", "confusion", "training", "calibration", "quality")
"""Of a report, what must be equal."""


def read_result(run: Path) -> dict[str, Any]:
    """Return what must be equal; the arithmetic says with which run to compare."""
    if (run / "trials.json").exists():
        trials = json.loads((run / "trials.json").read_text())["trials"]
        kept = ("phase", "outcome", "values", "score", "loss", "epochs", "reason")
        counted = [{key: each[key] for key in kept} for each in trials if each["outcome"] != "interrupted"]
        return {"arithmetic": None, "trials": counted}
    folder, report = RunFolder(run), json.loads((run / "report.json").read_text())
    log = [json.loads(line) for line in folder.log.read_text().splitlines()] if folder.log.exists() else []
    return {
        "arithmetic": yaml.safe_load(folder.spec.read_text())["finetune"]["precision"],
        "weights": hashlib.sha256(folder.weights.read_bytes()).hexdigest(),
        "epochs": [{key: value for key, value in line.items() if key != "images_per_s"} for line in log],
        "report": {key: report[key] for key in KEPT},
    }


def draw_images(folder: Path) -> Path:
    """Draw 80 images of 16 pixels in four classes: discs and squares, dark and light, on noise."""
    draw = np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    for number, (shape, shade) in itertools.product(
        range(20), itertools.product(("disc", "square"), (60, 180))
    ):
        centre, radius = draw.integers(5, 11, 2), draw.integers(2, 5)
        away = np.stack([rows - centre[0], columns - centre[1]])
        inside = (away**2).sum(0) < radius**2 if shape == "disc" else np.abs(away).max(0) < radius
        pixels = draw.integers(0, 256, (16, 16, 3)) * ~inside[..., None] + shade * inside[..., None]
        path = folder / f"{shape}{shade}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


def write_spec(folder: Path) -> Path:
    """Write the spec of a small network with weights to start from."""
    path = folder / "small.yaml"
    path.write_text(NETWORK)
    write_weights(folder / "small.safetensors", zoo.build(path, seed=1))
    return path


if __name__ == "__main__":
    sys.exit(main())
