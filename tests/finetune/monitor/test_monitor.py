"""What is measured while a network trains, without changing a number of the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from subject_kit import make_subject, run_tiny
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from finetune.data.subset import read_rows, spread_rows
from finetune.engine.state import TrainState
from finetune.engine.trackers import Trackers, flatten
from finetune.records.files import read_weights
from finetune.records.metrics_log import EpochRecord
from zoo.errors import GraftError

pytestmark = pytest.mark.usefixtures("seeded")

LAYERS = ["conv1", "fc1", "fc"]
MONITORED: Mapping[str, object] = {
    "finetune.monitor": {"pictures": True},
    "finetune.trackers": ["tensorboard"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("monitored")


@pytest.fixture(scope="module")
def records(folder: Path) -> list[EpochRecord]:
    """A run with a monitor, a tracker and pictures."""
    return run_tiny(folder, {**MONITORED, "finetune.stage_rates": "{conv1: 0.5}"})[0]


def test_each_epoch_is_measured(records: list[EpochRecord]) -> None:
    assert len(records) == 2
    for record in records:
        assert record.measured is not None
        assert list(record.measured.update_ratios) == list(record.measured.gradient_norms) == LAYERS
        assert list(record.measured.dead_units) == ["act1", "act2"]
        assert record.measured.gradient_norm > 0
        low, high = record.measured.learning_rates
        assert low == pytest.approx(0.5 * high)
        assert high == pytest.approx(record.learning_rate)


def test_the_training_score_is_that_of_the_saved_weights_on_training_images(
    records: list[EpochRecord], folder: Path, tmp_path: Path
) -> None:
    best = next(record for record in reversed(records) if record.best)
    assert best.measured is not None
    setup = make_subject(tmp_path).setup
    read_weights(folder / "model.safetensors", setup.net)
    rows = spread_rows(setup.splits.train.strata, best.measured.train_images, seed=setup.settings.seed)
    pixels, targets = read_rows(setup.train, rows)
    with torch.no_grad():
        correct = setup.net.eval()(setup.preprocess.normalise(pixels)).argmax(1) == targets
    assert best.measured.train_eval_score == pytest.approx(float(correct.float().mean()))
    assert len(set(rows.tolist())) == len(rows) == max(64, len(setup.train) // 8)


def test_measuring_changes_no_number_of_the_training(records: list[EpochRecord], tmp_path: Path) -> None:
    plain, _ = run_tiny(tmp_path, {"finetune.stage_rates": "{conv1: 0.5}"})
    assert plain == [replace(record, measured=None) for record in records]


def test_updates_that_are_too_small_are_flagged_and_diagnosed(tmp_path: Path) -> None:
    slow = {"finetune.learning_rate": 1e-7, "finetune.schedule": "constant", "finetune.monitor": {}}
    records, text = run_tiny(tmp_path, slow)
    assert records[-1].measured is not None
    assert [flag.split(" moves by ")[0] for flag in records[-1].measured.flags] == LAYERS
    assert "guess, and weights hardly move in conv1" in text
    assert text.count("learning rate may help") == 1


def test_tensorboard_gets_every_number(records: list[EpochRecord], folder: Path) -> None:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    for record in records:
        for key, value in flatten(asdict(record)).items():
            sent = {event.step: event.value for event in events.Scalars(key)}
            assert sent[record.epoch] == pytest.approx(value, rel=1e-6), key
    assert "measured/update_ratios/fc1" in events.Tags()["scalars"]
    (text,) = events.Tensors("spec/text_summary")
    assert b"name: tiny" in text.tensor_proto.string_val[0]


def test_epochs_that_are_run_again_are_sent_once(tmp_path: Path) -> None:
    for done, loss in [(0, 1.0), (1, 2.0)]:  # killed in epoch 2 and resumed after epoch 1
        trackers = Trackers(["tensorboard"], tmp_path, "run", "name: tiny")
        trackers.on_train_start(TrainState(epoch=done), resumed=done > 0)
        for epoch in range(done + 1, 3):
            trackers.on_epoch_end(EpochRecord(epoch, epoch, loss, 0.1, 1.0))
        trackers.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train_loss")] == [(1, 1.0), (2, 2.0)]


def test_a_tracker_that_is_not_installed_is_named_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="wandb is not installed\n  expected: `pip install wandb`"):
        run_tiny(tmp_path, {"finetune.trackers": ["tensorboard", "wandb"]})
    assert not (tmp_path / "metrics.jsonl").read_text()


def test_numbers_are_flattened_by_path() -> None:
    values = {"epoch": 1, "best": True, "rates": [0.1, 0.2], "dead": {"act1": 0.5}, "flags": ["a"], "x": None}
    assert flatten(values) == {"epoch": 1.0, "best": 1.0, "rates/0": 0.1, "rates/1": 0.2, "dead/act1": 0.5}


def test_pictures_are_drawn_at_the_end(records: list[EpochRecord], folder: Path) -> None:
    drawn = sorted(path.name for path in (folder / "pictures").iterdir())
    assert drawn == ["activations-1.png", "activations-2.png", "activations-3.png", "filters.png"]
