"""The smallest network that learns digits, and a way to break its run off: what tests of whole runs share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from torch import nn

from finetune.engine.checkpoint import Checkpoint

QUIET = Console(quiet=True)
SPEC = """
name: small
input: {{channels: 1, height: 8, width: 8}}
classes: 10
head: fc
stages: [conv]
layers:
  conv: {{conv: {{out: 8, kernel: 3}}}}
  act: relu
  flatten: flatten
  fc: {{linear: {{out: $classes}}}}
data: {{val: {val}, test: {test}}}
finetune: {{batch_size: 16, epochs: 3, precision: float32, checks: none, monitor: none}}
export: {{parity_images: 4}}
"""


def write_small(folder: Path, *, val: float, test: float) -> Path:
    """The spec, with these shares of the digits held back."""
    path = folder / "small.yaml"
    path.write_text(SPEC.format(val=val, test=test))
    return path


def small_net() -> nn.Sequential:
    """A network with a norm and a dropout in the middle: (N, 1, 8, 8) to (N, 3)."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)),
        nn.Flatten(),
        nn.Linear(4 * 36, 3),
    )


@contextmanager
def without_export() -> Iterator[None]:
    """In here, runs write no ONNX file: half of the time of a small run, for tests of training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("finetune.finished.find_plugins", lambda _: iter(()))
        yield


@contextmanager
def broken_off(wanted: Callable[[Path, str], bool]) -> Iterator[None]:
    """In here a run ends by an error after the first checkpoint that is `wanted`, by folder and name."""

    class StopError(Exception):
        pass

    save = Checkpoint.save

    def save_then_stop(checkpoint: Checkpoint, name: str) -> None:
        save(checkpoint, name)
        if wanted(checkpoint.folder, name):
            raise StopError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("finetune.engine.trainer.CHECKPOINT_EVERY_S", 0.0)
        patch.setattr(Checkpoint, "save", save_then_stop)
        with pytest.raises(StopError):
            yield
