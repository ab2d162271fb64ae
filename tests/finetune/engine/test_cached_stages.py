"""Runs whose frozen stages are cached: the numbers of runs without, and what turns caching off."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from small_kit import QUIET, broken_off
from subject_kit import digits

from finetune.config import FinetuneSettings
from finetune.engine.build import build_trainer
from finetune.engine.cached_stages import count_views, reasons_not_to_cache
from finetune.engine.trackers import flatten
from finetune.engine.trainer import Trainer
from finetune.experiment.recipe import read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.features.cached_features import CachedFeatures
from finetune.records.metrics_log import EpochRecord, read_records
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.runtime.console import Terminal
from finetune.runtime.precision import EXACT

pytestmark = pytest.mark.usefixtures("seeded", "unexported")

SPEC = """\
name: stages
input: {channels: 1, height: 8, width: 8}
classes: 10
head: fc
stages: [act1, act2]
choices: {norm: batch_norm, act: relu}
layers:
  conv1: {conv: {out: 6, kernel: 3, padding: 1}}
  norm1: norm
  act1: act
  conv2: {conv: {out: 8, kernel: 3, stride: 2}}
  norm2: norm
  act2: act
  drop: {dropout: {p: 0.3}}
  flatten: flatten
  fc: {linear: {out: $classes}}
finetune: {checks: none, monitor: none, trackers: [], precision: float32}
"""
TOP = ("conv2", "norm2", "fc")
EPOCHS = 3


def set_up(folder: Path, given: Mapping[str, object] | None = None) -> Setup:
    path = folder / "stages.yaml"
    path.write_text(SPEC)
    return prepare(read_recipe(path, set=dict(given or {})), digits())


def make_trainer(
    folder: Path,
    given: Mapping[str, object] | None = None,
    *,
    epochs: int = EPOCHS,
    trains: tuple[str, ...] = TOP,
    console: Console = QUIET,
) -> Trainer:
    folder.mkdir(exist_ok=True)
    plan = Plan(
        strategy="partial",
        trains=trains,
        head="fresh",
        epochs=epochs,
        batch_size=64,
        learning_rate=0.05,
        precision=EXACT,
        cell=None,
        reasons=(),
        evidence={},
    )
    return build_trainer(set_up(folder, given), plan, RunFolder(folder), console)


def run(
    folder: Path, given: Mapping[str, object] | None = None, *, epochs: int = EPOCHS
) -> list[EpochRecord]:
    trainer = make_trainer(folder, given, epochs=epochs)
    assert isinstance(trainer.train, CachedFeatures) is (trainer.setup.settings.partial.views != "none")
    trainer.run()
    return read_records(folder / "metrics.jsonl")


def numbers(record: EpochRecord) -> dict[str, float]:
    return flatten(asdict(replace(record, images_per_s=0.0)))


def views(number: int | str, **more: object) -> dict[str, object]:
    return {"finetune.partial.views": number, **{f"finetune.{key}": value for key, value in more.items()}}


@pytest.mark.parametrize(
    "more",
    [{}, {"ema": {}, "weight_noise": 0.1, "accumulate": 2}, {"gradient_checkpointing": True}],
    ids=["plain", "averaged and noisy", "checkpointed"],
)
def test_with_as_many_views_as_epochs_a_run_gives_the_same_numbers(
    more: dict[str, object], tmp_path: Path
) -> None:
    plain = run(tmp_path / "plain", views("none", **more))
    cached = run(tmp_path / "cached", views(EPOCHS, **more))
    assert len(plain) == EPOCHS
    numbers, expected = (
        [flatten(asdict(replace(record, images_per_s=0.0))) for record in records]
        for records in (cached, plain)
    )
    for found, wanted in zip(numbers, expected, strict=True):
        assert found == pytest.approx(wanted, rel=1e-4)  # float32, in batches of another size
    assert plain[0].train_loss != plain[1].train_loss
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("plain", "cached")]
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-3, atol=1e-4)


def test_only_stages_that_are_not_frozen_change(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, views(2))
    before = {name: value.clone() for name, value in trainer.step.net.state_dict().items()}
    assert isinstance(trainer.train, CachedFeatures)
    trainer.run()
    after = trainer.setup.net.state_dict()
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == set(TOP)


def test_the_lower_stages_see_each_view_once_and_validation_images_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    trainer = make_trainer(tmp_path, views(2))
    assert isinstance(trainer.train, CachedFeatures)
    assert isinstance(trainer.val, CachedFeatures)
    for stored in (trainer.train, trainer.val):
        compute = stored.compute
        monkeypatch.setattr(stored, "compute", lambda x, c=compute: computed.append(len(x)) or c(x))
    trainer.run()
    assert sum(computed) == 2 * len(trainer.train) + len(trainer.val)


@pytest.mark.parametrize("name", ["epoch-0002", "step-000010"])  # 8 steps per epoch
def test_a_run_that_was_broken_off_goes_on_to_the_same_numbers(name: str, tmp_path: Path) -> None:
    unbroken = run(tmp_path / "unbroken", views(2))
    with broken_off(lambda _, saved: saved == name):
        run(tmp_path / "broken", views(2))
    assert run(tmp_path / "broken", views(2)) == unbroken


def test_worker_processes_change_no_number(tmp_path: Path) -> None:
    alone = run(tmp_path / "alone", views(1), epochs=2)
    assert run(tmp_path / "helped", views(1) | {"data.workers": 1}, epochs=2) == alone


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"partial": {"views": "none"}}, "finetune.partial.views is none"),
        ({"mixup": 0.2}, "finetune.mixup blends pixels"),
        ({"cutmix": 0.2}, "finetune.cutmix pastes pixels"),
        ({"input_noise": 0.1}, "finetune.input_noise changes pixels in every step"),
        ({"adversarial": {"fgsm": {}}}, "finetune.adversarial changes pixels in every step"),
        ({"progressive_resizing": {}}, "finetune.progressive_resizing changes the size of images"),
        ({"distill": {"run": "there"}}, "finetune.distill shows pixels to its teacher"),
    ],
)
def test_recipes_that_need_pixels_are_not_cached(given: dict[str, object], reason: str) -> None:
    assert list(reasons_not_to_cache(FinetuneSettings.model_validate(given), views=4)) == [reason]


def test_several_processes_and_few_epochs_turn_caching_off() -> None:
    settings = FinetuneSettings()
    assert not list(reasons_not_to_cache(settings, views=1))
    assert list(reasons_not_to_cache(settings, views=0)) == ["too few epochs would show a view again"]
    assert list(reasons_not_to_cache(settings, views=1, processes=2)) == [
        "2 processes train, and each would compute all views"
    ]


def test_views_are_cached_if_they_are_shown_again() -> None:
    def auto(epochs: int, *, augmented: bool = True) -> int:
        return count_views("auto", epochs, augmented=augmented)

    assert [auto(epochs) for epochs in (1, 3, 4, 8, 15, 16, 60)] == [0, 0, 1, 2, 3, 4, 4]
    assert [auto(epochs, augmented=False) for epochs in (1, 2, 60)] == [0, 1, 1]
    assert [count_views(5, epochs, augmented=True) for epochs in (1, 3, 9)] == [0, 3, 5]
    assert count_views(5, 9, augmented=False) == 1
    assert count_views("none", 9, augmented=True) == 0


def said(folder: Path, given: Mapping[str, object], **more: object) -> tuple[str, Trainer]:
    text = io.StringIO()
    console = Terminal(why=True)
    console.file = text
    trainer = make_trainer(folder, given, console=console, **more)  # type: ignore[arg-type]
    return text.getvalue().strip(), trainer


def test_a_run_prints_what_it_caches(tmp_path: Path) -> None:
    words, trainer = said(tmp_path, {}, epochs=16)
    images = len(trainer.setup.train)
    mb = 4 * images * (6 * 8 * 8 * 4 + 8) / 2**20
    assert words == f"the frozen stages up to act1 are cached: 4 views of {images} images, {mb:.0f} MiB"


def test_views_are_as_many_as_there_is_memory_for(tmp_path: Path) -> None:
    words, trainer = said(tmp_path, {"data.cache_mb": 2}, epochs=16)
    assert isinstance(trainer.train, CachedFeatures)
    assert trainer.train.views == 2
    images = len(trainer.setup.train)
    assert f"2 views of {images} images (of 4: data.cache_mb leaves 2 MiB), 1 MiB" in words
    assert isinstance(trainer.val, CachedFeatures)
    for epoch in range(3):
        trainer.train.set_epoch(epoch)
        trainer.train.fill()
    kept = sum(view.outputs.nbytes + view.targets.nbytes for view in trainer.train.cached.values())
    assert kept <= 2 * 2**20


def test_without_memory_for_a_view_images_are_shown(tmp_path: Path) -> None:
    words, trainer = said(tmp_path, {"data.cache_mb": 0}, epochs=16)
    assert not words
    assert trainer.train is trainer.setup.train
    assert trainer.val is trainer.setup.val
    assert trainer.step.frozen_stages is None
    words, _ = said(tmp_path, views(2) | {"data.cache_mb": 0})
    assert words == "frozen stages are not cached: a view takes 1 MiB, and data.cache_mb leaves 0"


def test_without_caching_images_are_shown_and_a_message_only_if_requested(tmp_path: Path) -> None:
    words, trainer = said(tmp_path, {"finetune.mixup": 0.2})
    assert not words
    assert trainer.train is trainer.setup.train
    assert (
        said(tmp_path, views(2, mixup=0.2))[0] == "frozen stages are not cached: finetune.mixup blends pixels"
    )
    words, trainer = said(tmp_path, views(2), trains=("",))
    assert words == "frozen stages are not cached: no stage separates what is frozen from what is trained"
    assert trainer.train is trainer.setup.train


def test_images_still_pass_the_whole_network(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, views(1))
    trainer.step.eval_net.eval()
    trainer.val.fill()
    assert isinstance(trainer.val, CachedFeatures)
    outputs = torch.stack([trainer.val[i][0] for i in range(5)])
    pixels = torch.stack([trainer.setup.val[i][0] for i in range(5)])
    with torch.inference_mode():
        torch.testing.assert_close(trainer.step.predict(pixels), trainer.step.predict(outputs))
