"""A run before its first step, small enough to be checked in a second: 8 x 8 digits, three layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from finetune.checks.check import Result
from finetune.checks.run import CHECKS, run_checks
from finetune.checks.subject import Subject
from finetune.config import DataSettings
from finetune.data import Split, Splits, load_splits
from finetune.engine.build import build_trainer
from finetune.experiment.recipe import read_recipe
from finetune.experiment.setup import prepare
from finetune.fit.callbacks import train
from finetune.planning.choose import choose_plan
from finetune.records.metrics_log import EpochRecord, read_records
from finetune.records.run_folder import RunFolder
from finetune.runtime.console import Terminal

TINY = """\
name: tiny
input: {channels: 1, height: 8, width: 8}
classes: 10
head: fc
stages: [act1, act2]
choices:
  norm: none
  act: relu
  init:
    - {layer: conv, weight: kaiming_normal, bias: zeros}
    - {layer: linear, weight: kaiming_normal, bias: zeros}
    - {path: fc, weight: {normal: {std: 0.05}}}
layers:
  conv1: {conv: {out: 8, kernel: 3, padding: 1}}
  act1: act
  flatten: flatten
  fc1: {linear: {out: 32}}
  act2: act
  fc: {linear: {out: $classes}}
augment: []
"""
QUICK: Mapping[str, object] = {
    "finetune.precision": "float32",
    "finetune.batch_size": 32,
    "finetune.epochs": 2,
    "finetune.checks": "none",
    "finetune.monitor": "none",
    "finetune.trackers": [],
}


def write_tiny(folder: Path) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(TINY)
    return path


@cache
def digits() -> Splits:
    return load_splits(DataSettings.model_validate({"builtin": "digits", "val": 0.1, "test": 0.65}), seed=0)


def make_subject(
    folder: Path, given: Mapping[str, object] | None = None, splits: Splits | None = None
) -> Subject:
    recipe = read_recipe(write_tiny(folder), set={**QUICK, **(given or {})})
    setup = prepare(recipe, splits or digits())
    return Subject(setup, choose_plan(setup), torch.device("cpu"))


def run_tiny(folder: Path, given: Mapping[str, object] | None = None) -> tuple[list[EpochRecord], str]:
    """Train the tiny network as a whole run does. Out: the records of its log, and what it printed."""
    folder.mkdir(exist_ok=True)
    subject, text = make_subject(folder, given), StringIO()
    console = Terminal(why=True, width=250)
    console.file = text
    train(build_trainer(subject.setup, subject.plan, RunFolder(folder), console))
    return read_records(folder / "metrics.jsonl"), text.getvalue()


def with_targets(splits: Splits, targets: NDArray[np.int64]) -> Splits:
    return replace(splits, train=Split(splits.train.images, targets, targets))


def check(subject: Subject, name: str) -> Result:
    return CHECKS[name].run(subject)


def failing(subject: Subject, *, brief: bool = False) -> set[str]:
    return {result.name for result in run_checks(subject, brief=brief) if result.failed}
