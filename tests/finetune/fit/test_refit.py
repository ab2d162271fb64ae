"""What happens after early stopping: again from the start, or on, with the validation images as well."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from small_kit import QUIET, broken_off, write_small

from finetune.api import run
from finetune.config import FinetuneSettings
from finetune.data import ArrayImage, Split
from finetune.data.dataset import ImageDataset
from finetune.data.subset import join, subset
from finetune.finished import RunReport
from finetune.fit.refit import DampedSchedule, plateau_factors
from finetune.optim.schedules import SCHEDULES
from finetune.records.metrics_log import read_records
from finetune.records.training import RefitTraining
from finetune.regularization.resizing import Resizing
from finetune.transforms.preprocess import Preprocess
from zoo.errors import GraftError

pytestmark = pytest.mark.usefixtures("seeded", "unexported")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("spec"), val=0.1, test=0.8)


def training(report: RunReport) -> RefitTraining:
    record = report.report.training
    assert isinstance(record, RefitTraining)
    return record


def test_retraining_takes_as_many_steps_on_more_images(spec: Path, tmp_path: Path) -> None:
    settings: dict[str, object] = {"finetune.after_stopping": "retrain"}
    report = run(spec, set=settings, run=tmp_path / "run", console=QUIET)
    first, second = (read_records(report.folder / name / "metrics.jsonl") for name in (".", "refit"))
    best = training(report).run.best_epoch
    assert second[-1].step == first[best - 1].step == training(report).steps
    splits = json.loads((report.folder / "splits.json").read_text())
    images = sum(len(splits[name]["images"]) for name in ("train", "val"))  # not those to learn from alone
    assert second[0].step == min(-(-images // 16), second[-1].step)
    weights = load_file(report.folder / "model.safetensors")
    stopped = load_file(report.folder / "members" / "best.safetensors")
    assert not torch.equal(weights["fc.weight"], stopped["fc.weight"])
    with broken_off(lambda folder, _: folder.parent.name == "refit"):
        run(spec, set=settings, run=tmp_path / "broken", console=QUIET)
    resumed = run(spec, set=settings, run=tmp_path / "broken", console=QUIET)
    assert resumed.metrics == report.metrics
    assert training(resumed) == training(report)


def test_going_on_ends_when_the_validation_loss_is_down_to_that_of_training(
    spec: Path, tmp_path: Path
) -> None:
    settings = {"finetune.after_stopping": "continue", "finetune.epochs": 4}
    report = run(spec, set=settings, run=tmp_path / "run", console=QUIET)
    record, lines = training(report), read_records(tmp_path / "run" / "refit" / "metrics.jsonl")
    losses = [line.val_loss or 0.0 for line in lines]
    assert record.epochs == len(lines) >= 1
    assert record.val_loss == losses[-1] <= (record.target_loss or 0.0) < min([*losses[:-1], np.inf])
    first = read_records(tmp_path / "run" / "metrics.jsonl")
    best = training(report).run.best_epoch
    assert lines[0].epoch == best + 1
    assert losses[0] < (first[best - 1].val_loss or 0.0)


def test_without_images_to_test_on_it_is_refused(spec: Path, tmp_path: Path) -> None:
    settings = {"finetune.after_stopping": "retrain", "data.test": 0}
    with pytest.raises(GraftError, match=r"data.test is 0, which leaves no images to evaluate on"):
        run(spec, set=settings, run=tmp_path / "run", console=QUIET)


def test_it_goes_with_no_ensemble() -> None:
    with pytest.raises(ValidationError, match="retrain trains one network, and ensemble needs several"):
        FinetuneSettings.model_validate({"after_stopping": "retrain", "ensemble": {"soup": 2}})


def test_rates_are_damped_as_the_plateau_damped_them_the_first_time() -> None:
    settings = FinetuneSettings.model_validate({"schedule": {"plateau": {"patience": 1, "factor": 0.5}}})
    factors = plateau_factors(settings, [0.5, 0.4, 0.4, 0.6])
    assert factors == (1.0, 1.0, 0.5, 0.25)
    schedule = DampedSchedule(SCHEDULES.read_call("constant"), 8, 2, factors=factors)
    assert [schedule.rate(step) for step in (0, 3, 4, 5, 6, 100)] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def shades(first: int, count: int) -> ImageDataset:
    """Images of one grey each, from `first` up; their class is that grey."""
    greys = range(first, first + count)
    images = tuple(ArrayImage(f"{grey}", np.full((4, 4, 3), grey, dtype=np.uint8)) for grey in greys)
    return ImageDataset(Split(images, np.array(greys), np.array(greys)), Preprocess(height=4, width=4))


def greys_of(dataset: ImageDataset, rows: list[int]) -> list[tuple[int, int]]:
    return [(int(image[0, 0, 0]), int(target)) for image, target in dataset.__getitems__(rows)]


def test_images_are_joined_and_sampled_without_being_decoded_again() -> None:
    first, second = shades(10, 3), shades(20, 2)
    both = join(first, second)
    both.fill()
    assert (len(first.stored.kept), len(both.stored.kept)) == (3, 0)
    assert greys_of(both, [4, 0, 3, 2]) == [(21, 21), (10, 10), (20, 20), (12, 12)]
    drawn = subset(both, np.array([4, 4, 1]), seed=1)
    assert len(drawn) == 3
    assert greys_of(drawn, [2, 0, 1]) == [(11, 11), (21, 21), (21, 21)]
    assert [image.name for image in drawn.split.images] == ["21", "21", "11"]


@pytest.mark.parametrize("how", ["retrain", "continue"])
def test_the_second_phase_sees_the_sizes_of_the_first(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    resized = Resizing.__call__

    def note(self: Resizing, images: torch.Tensor, step: int) -> torch.Tensor:
        seen.append((step, self.steps))
        return resized(self, images, step)

    monkeypatch.setattr(Resizing, "__call__", note)
    settings: dict[str, object] = {
        **{"finetune.after_stopping": how, "finetune.progressive_resizing": {"initial_scale": 0.5}},
        **{"finetune.epochs": 2, "finetune.strategy": "scratch", "finetune.precision": "float32"},
        **{"finetune.checks": "none", "data.val": 0.05, "data.test": 0.85, "finetune.report": False},
    }
    report = run("resnet_tiny", set=settings, run=tmp_path / "run", console=QUIET)
    lines = read_records(report.folder / "metrics.jsonl")
    assert len({steps for _, steps in seen}) == 1  # of the first phase's schedule, in both
    again = training(report).steps if how == "retrain" else 0
    assert len(seen) == lines[-1].step + again
