"""Callbacks: when each is called, and the guard against a diverging loss."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from small_kit import QUIET
from subject_kit import make_subject

from finetune.engine.build import build_trainer
from finetune.engine.callbacks import Callback, DivergedError, DivergenceGuard
from finetune.engine.progress import ProgressBar
from finetune.engine.state import TrainState
from finetune.engine.trainer import Trainer
from finetune.records.metrics_log import EpochRecord, read_records
from finetune.records.run_folder import RunFolder
from finetune.records.training import GradientTraining

pytestmark = pytest.mark.usefixtures("seeded", "unexported")


class Recorder(Callback):
    """Notes every call, and which checkpoint was the latest at that time."""

    def __init__(self, folder: Path, fail_at: int = 0) -> None:
        self.folder, self.fail_at = folder, fail_at
        self.calls: list[tuple[str, str]] = []

    def note(self, name: str) -> None:
        latest = self.folder / "checkpoint" / "latest"
        self.calls.append((name, latest.read_text() if latest.exists() else ""))

    def on_train_start(self, state: TrainState, *, resumed: bool) -> None:
        self.note(f"start, resumed {resumed}")

    def on_batch_start(self, state: TrainState) -> None:
        self.note(f"batch {state.batch} starts")

    def on_batch_end(self, state: TrainState, loss: float) -> None:
        self.note(f"batch {state.batch} ends")
        if state.epoch + 1 == self.fail_at:
            raise ValueError

    def on_update_end(self, state: TrainState) -> None:
        self.note(f"update {state.step}")

    def extend_record(self, record: EpochRecord) -> EpochRecord:
        return replace(record, member=7)

    def on_epoch_end(self, record: EpochRecord) -> None:
        self.note(f"epoch {record.epoch}, member {record.member}")

    def on_train_end(self) -> None:
        self.note("end")

    def close(self) -> None:
        self.note("close")


def make_trainer(folder: Path, **given: object) -> Trainer:
    settings = {"batch_size": 300, "checks": "none", "monitor": "none", "accumulate": 2, "patience": "none"}
    subject = make_subject(folder, {f"finetune.{key}": value for key, value in (settings | given).items()})
    return build_trainer(subject.setup, subject.plan, RunFolder(folder), QUIET)


def test_callbacks_are_called_in_order_and_before_the_checkpoint(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, fail_at=2)
    with pytest.raises(ValueError):
        replace(make_trainer(tmp_path), callbacks=[recorder]).run()
    epoch = ["batch 0 starts", "batch 1 ends", "batch 1 starts", "batch 2 ends", "update 1"]
    first = [(name, "") for name in ("start, resumed False", *epoch, "epoch 1, member 7")]
    second = [(name, "epoch-0001") for name in ("batch 0 starts", "batch 1 ends", "close")]
    assert recorder.calls == [*first, *second]
    again = Recorder(tmp_path)
    replace(make_trainer(tmp_path), callbacks=[again]).run()
    assert again.calls[0] == ("start, resumed True", "epoch-0001")
    assert again.calls[-3:] == [
        ("epoch 2, member 7", "epoch-0001"),
        ("end", "epoch-0002"),
        ("close", "epoch-0002"),
    ]
    assert [record.member for record in read_records(tmp_path / "metrics.jsonl")] == [7, 7]


def test_a_trial_writes_only_its_log(tmp_path: Path) -> None:
    trainer = replace(make_trainer(tmp_path), saves=False)
    trainer.run()
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.yaml", "metrics.jsonl"}
    assert trainer.state.summary() == GradientTraining(epochs=2, best_epoch=2, steps=2)


def test_the_guard_allows_one_odd_batch_and_no_loss_that_is_not_a_number() -> None:
    guard, state = DivergenceGuard(math.log(10)), TrainState()
    for loss in (2.3, 2.3, 9.0, 2.3):
        guard.on_batch_end(state, loss)
    with pytest.raises(DivergedError, match="nan"):
        guard.on_batch_end(state, float("nan"))


def test_progress_is_printed_in_plain_lines_outside_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.engine.progress.PLAIN_EVERY_S", 0.0)
    text = io.StringIO()
    bar = ProgressBar(Console(file=text), epochs=2)
    replace(make_trainer(tmp_path), callbacks=[bar], saves=False).run()
    lines = text.getvalue().splitlines()
    assert [line.split("  ")[1] for line in lines] == [f"step {step}/4" for step in (1, 2, 3, 4)]
    assert "epoch 2/2  loss " in lines[-1]
    assert lines[-1].endswith("  a few seconds left")
