"""A run before its first step, small enough to be checked in a second: 8 x 8 digits, three layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from finetune.checks.registry import CHECKS
from finetune.checks.result import Result
from finetune.checks.run import run_checks
from finetune.checks.subject import Subject
from finetune.config import DataSettings
from finetune.data import Split, Splits, load_splits
from finetune.experiment.setup import prepare, read_recipe
from finetune.planning.choose import choose_plan

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
"""
QUICK: Mapping[str, object] = {
    "finetune.precision": "float32",
    "finetune.batch_size": 32,
    "finetune.epochs": 2,
}


def write_tiny(folder: Path) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(TINY)
    return path


@cache
def digits() -> Splits:
    return load_splits(DataSettings.model_validate({"builtin": "digits", "val": 0.3, "test": 0.4}), seed=0)


def make_subject(
    folder: Path, given: Mapping[str, object] | None = None, splits: Splits | None = None
) -> Subject:
    recipe = read_recipe(write_tiny(folder), set={**QUICK, **(given or {})})
    setup = prepare(recipe, splits or digits())
    return Subject(setup, choose_plan(setup), torch.device("cpu"))


def with_targets(splits: Splits, targets: NDArray[np.int64]) -> Splits:
    return replace(splits, train=Split(splits.train.images, targets))


def check(subject: Subject, name: str) -> Result:
    return CHECKS[name].run(subject)


def failing(subject: Subject, *, brief: bool = False) -> set[str]:
    return {result.name for result in run_checks(subject, brief=brief) if result.failed}
