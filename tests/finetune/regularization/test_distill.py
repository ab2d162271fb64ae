"""Distillation: the teacher answers as its run does, and the student moves towards its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from small_kit import without_export
from torch import Tensor, nn

import zoo
from finetune.api import run
from finetune.config import FinetuneSettings
from finetune.config.finetune import Distill
from finetune.engine.build import build_trainer
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.finished import load_run
from finetune.planning.choose import choose_plan
from finetune.records.run_folder import RunFolder
from finetune.regularization.distill import LiveTeacher, Teacher, cache_predictions, load_teacher

pytestmark = pytest.mark.usefixtures("unexported")

QUICK: dict[str, object] = {
    **{"data.val": 0.3, "data.test": 0.5, "finetune.epochs": 2, "finetune.precision": "float32"},
    **{"finetune.checks": "none", "finetune.monitor": "none", "finetune.report": False},
}
PURE = Distill(run="there", share=1.0, temperature=2.0)
QUIET = Console(quiet=True)
GREY: dict[str, object] = {"input.channels": 1, "finetune.weights": "none"}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose network is the mean of two epochs' answers, and of two views."""
    more = {"finetune.ensemble": {"average": 2}, "finetune.test_time": "flip"}
    folder = tmp_path_factory.mktemp("t") / "run"
    with without_export():
        return run("specs/lenet5.yaml", set=QUICK | more, run=folder, console=QUIET).folder


def test_a_teacher_predicts_as_its_run_for_other_normalisations(teacher: Path) -> None:
    done = load_run(teacher)
    student = type(done.preprocess)(height=32, width=32, channels=1, mean=[0.2], std=[0.7])
    loaded = load_teacher(Distill(run=str(teacher)), done.labels, student, torch.device("cpu"))
    image = torch.from_numpy(done.val.images[0].read())[None]
    with torch.inference_mode():
        expected = done.net(done.preprocess(image))
        assert torch.allclose(loaded.predict(student(image), ()), expected, atol=1e-4)


def test_a_teacher_of_other_classes_is_refused(teacher: Path) -> None:
    student = load_run(teacher).preprocess
    with pytest.raises(zoo.GraftError, match="10 classes in 1 channels"):
        load_teacher(Distill(run=str(teacher)), ("a", "b"), student, torch.device("cpu"))


def test_the_loss_pulls_towards_the_teachers_answers() -> None:
    one = torch.ones(1, 1, 1)
    answers = torch.tensor([[4.0, 0.0, 0.0]])
    logits = torch.zeros(1, 3, requires_grad=True)
    teacher = LiveTeacher(PURE, nn.Identity(), (1, 1), one, 0 * one)
    loss = teacher.blend(logits.sum() * 0, logits, answers)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    expected = 2 * (torch.full((1, 3), 1 / 3) - (answers / 2).softmax(1))
    assert torch.allclose(logits.grad, expected, atol=1e-5)


def test_of_masks_the_divergence_is_a_mean_over_pixels() -> None:
    one = torch.ones(1, 1, 1, 1)
    teacher = LiveTeacher(PURE, nn.Identity(), (8, 8), one, 0 * one)
    answers, logits = torch.tensor([[4.0, 0.0, 0.0]]), torch.zeros(1, 3)
    of_one = teacher.blend(logits.sum(), logits, answers)
    of_many = teacher.blend(
        logits.sum(), logits[..., None, None].expand(2, 3, 8, 8), answers[..., None, None]
    )
    assert torch.allclose(of_one, of_many)


def test_images_are_resized_for_a_teacher(teacher: Path, tmp_path: Path) -> None:
    more: dict[str, object] = {
        **{"finetune.distill": {"run": str(teacher), "share": 0.9}, "finetune.epochs": 1, "data.test": 0.6},
        **{"input.height": 40, "input.width": 48, "data.normalise": "mean_image"},
        **{"finetune.progressive_resizing": {"initial_scale": 0.5}},
    }
    done = run("resnet_tiny", set=QUICK | GREY | more, run=tmp_path / "run", console=QUIET)
    assert "accuracy" in done.metrics  # sizes differ in every step, and it ran to its end


def test_a_teacher_of_another_size_predicts_as_at_its_own(teacher: Path) -> None:
    done = load_run(teacher)
    student = type(done.preprocess)(height=64, width=64, channels=1, mean=[0.2], std=[0.7])
    loaded = load_teacher(Distill(run=str(teacher)), done.labels, student, torch.device("cpu"))
    images = torch.stack([torch.from_numpy(image.read()) for image in done.val.images[:100]])
    with torch.inference_mode():
        expected = done.net(done.preprocess(images)).argmax(1)
        assert (loaded.predict(student(images), ()).argmax(1) == expected).float().mean() > 0.9


def set_up(spec: str = "lenet5", **more: object) -> Setup:
    given = QUICK | GREY | {f"finetune.{key}": value for key, value in more.items()}
    recipe = read_recipe(spec, set=given)
    return prepare(recipe, load_data(recipe))


def test_a_cached_teacher_predicts_each_image_without_augmentation(tmp_path: Path) -> None:
    folder = run("lenet5", set=QUICK, run=tmp_path / "teacher", console=QUIET).folder
    done, setup = load_run(folder), set_up("resnet_tiny", cache=str(tmp_path / "cache"))  # of another size
    teacher = cache_predictions(Distill(run=str(folder), cached=True), setup, torch.device("cpu"))
    rows = [7, 3, 200]
    images = [torch.from_numpy(setup.train.split.images[row].read())[None] for row in rows]
    with torch.inference_mode():
        expected = torch.cat([done.net(done.preprocess(image)) for image in images])
    assert torch.allclose(teacher.predict(torch.zeros(3, 1, 64, 64), rows), expected, atol=1e-4)


def test_a_teacher_without_a_linear_last_layer_is_not_cached(teacher: Path) -> None:
    with pytest.raises(zoo.GraftError, match="several networks"):
        cache_predictions(Distill(run=str(teacher), cached=True), set_up(), torch.device("cpu"))


@dataclass(frozen=True)
class Witness(Teacher):
    """Compares the inputs of each batch with the images of its rows."""

    setup: Setup
    asked: list[int]

    def predict(self, inputs: Tensor, rows: Sequence[int]) -> Tensor:
        images = torch.stack([self.setup.train[row][0] for row in rows])
        assert torch.equal(inputs, self.setup.preprocess.normalise(images))
        self.asked.extend(rows)
        return torch.zeros(len(inputs), len(self.setup.classes))


def test_a_teacher_is_asked_for_the_rows_of_each_batch(tmp_path: Path) -> None:
    setup = set_up(epochs=2)
    setup.train.augment = None
    witness = Witness(PURE, setup, [])
    trainer = build_trainer(setup, choose_plan(setup), RunFolder(tmp_path), QUIET)
    replace(trainer, step=replace(trainer.step, teacher=witness), saves=False).run()
    assert sorted(witness.asked) == sorted([*range(len(setup.train))] * 2)


def test_predictions_for_single_images_cannot_be_mixed() -> None:
    with pytest.raises(ValueError, match=r"distill.cached .* expected distill.cached false"):
        FinetuneSettings(distill=PURE.model_copy(update={"cached": True}), mixup=0.2)
