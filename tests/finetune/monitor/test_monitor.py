"""What is measured while a network learns, in the log and in TensorBoard, without changing a number of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console
from subject_kit import make_subject
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from finetune.data.subset import read_rows, spread_rows
from finetune.engine.loop import build_loop
from finetune.engine.trackers import Tracked, flatten, tracking
from finetune.engine.trainer import Loop, train
from finetune.records.metrics_log import read_lines
from finetune.records.run_folder import RunFolder, read_weights
from zoo.errors import GraftError

pytestmark = pytest.mark.usefixtures("seeded")

Lines = list[dict[str, object]]
MEASURED = {
    "train_clean_loss",
    "train_accuracy",
    "train_images",
    "learning_rates",
    "gradient_norm",
    "gradient_norms",
    "update_ratios",
    "rate_factor",
    "dead_units",
    "flags",
}


def train_tiny(folder: Path, given: Mapping[str, object]) -> tuple[Loop, Lines, str]:
    folder.mkdir(exist_ok=True)
    said = StringIO()
    subject = make_subject(folder, {"finetune.checks": "none", **given})
    loop = build_loop(subject.setup, subject.plan, RunFolder(folder), Console(file=said, width=250))
    train(loop)
    return loop, read_lines(folder / "metrics.jsonl"), said.getvalue()


def test_each_epoch_is_measured(tmp_path: Path) -> None:
    _, lines, _ = train_tiny(tmp_path, {"finetune.stage_rates": "{conv1: 0.5}"})
    assert len(lines) == 2
    for line in lines:
        assert set(line) >= MEASURED
        assert list(line["update_ratios"]) == ["conv1", "fc1", "fc"]  # type: ignore[call-overload]
        assert list(line["dead_units"]) == ["act1", "act2"]  # type: ignore[call-overload]
    rates = lines[0]["learning_rates"]
    assert isinstance(rates, list)
    assert rates == pytest.approx([0.5 * rates[1], rates[1]])
    assert rates[1] == pytest.approx(lines[0]["learning_rate"])


def test_the_training_score_is_that_of_the_kept_weights_on_training_images(tmp_path: Path) -> None:
    loop, lines, _ = train_tiny(tmp_path, {})
    best = next(line for line in reversed(lines) if line["best"])
    setup, net = loop.setup, loop.setup.net.eval()
    read_weights(loop.folder.weights, net)
    rows = spread_rows(setup.splits.train.targets, int(str(best["train_images"])), seed=setup.settings.seed)
    pixels, targets = read_rows(setup.train, rows)
    with torch.no_grad():
        right = net(setup.preprocess.normalise(pixels)).argmax(1) == targets
    assert best["train_accuracy"] == pytest.approx(float(right.float().mean()))
    assert len(set(rows.tolist())) == len(rows) == max(64, len(setup.train) // 8)


def test_measuring_changes_no_number_of_the_training(tmp_path: Path) -> None:
    _, plain, _ = train_tiny(tmp_path / "off", {"finetune.monitor": "none", "finetune.trackers": []})
    _, measured, _ = train_tiny(tmp_path / "on", {})
    for before, after in zip(plain, measured, strict=True):
        assert not set(before) & MEASURED
        assert {key: after[key] for key in before if key != "images_per_s"} == {
            key: value for key, value in before.items() if key != "images_per_s"
        }


def test_updates_that_are_too_small_are_flagged_and_told(tmp_path: Path) -> None:
    _, lines, said = train_tiny(tmp_path, {"finetune.learning_rate": 1e-7, "finetune.schedule": "constant"})
    flags = lines[-1]["flags"]
    assert isinstance(flags, list)
    assert [flag.split(" moves by ")[0] for flag in flags] == ["conv1", "fc1", "fc"]
    assert "weights hardly move in conv1" in said
    assert "a higher rate may serve" in said
    assert "the training loss hardly fell below a guess's: the learning rate may be too low" in said


def test_tensorboard_is_told_every_number(tmp_path: Path) -> None:
    _, lines, _ = train_tiny(tmp_path, {})
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for line in lines:
        for key, value in flatten(line).items():
            told = {event.step: event.value for event in events.Scalars(key)}
            assert told[int(str(line["epoch"]))] == pytest.approx(value, rel=1e-6), key
    assert "update_ratios/fc1" in events.Tags()["scalars"]
    (text,) = events.Tensors("spec/text_summary")
    assert b"name: tiny" in text.tensor_proto.string_val[0]


def test_epochs_that_are_run_again_are_told_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for begun, value in [(0, 1.0), (1, 2.0)]:  # broken off in epoch 2 and gone on with after epoch 1
        with tracking(["tensorboard"], Tracked(folder, "run", "name: tiny", begun)) as track:
            for epoch in range(begun + 1, 3):
                track({"epoch": epoch, "val_loss": value})
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("val_loss")] == [(1, 1.0), (2, 2.0)]


def test_a_tracker_that_is_not_installed_is_named_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(GraftError) as error:
        train_tiny(tmp_path, {"finetune.trackers": ["tensorboard", "wandb"]})
    assert str(error.value) == (
        "finetune.trackers: wandb is not installed\n"
        "  expected: `pip install wandb`, or finetune.trackers without it"
    )
    assert not (tmp_path / "metrics.jsonl").read_text()


def test_numbers_of_a_line_by_path() -> None:
    line = {
        "epoch": 1,
        "best": True,
        "rates": [0.1, 0.2],
        "dead": {"act1": 0.5},
        "flags": ["a"],
        "x": math.pi,
    }
    assert flatten(line) == {
        "epoch": 1.0,
        "best": 1.0,
        "rates/0": 0.1,
        "rates/1": 0.2,
        "dead/act1": 0.5,
        "x": math.pi,
    }
