"""`graft zoo verify`: pretrained weights are measured on labelled images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

import zoo
from finetune.records.estimate import wilson_interval
from graft.__main__ import app
from graft.verify import match_classes, verify
from zoo.pretrained.labels import find_labels

SPEC = """\
name: colours
input: {height: 8, width: 8, mean: [0, 0, 0], std: [1, 1, 1]}
classes: 3
weights: {own: {file: colours.safetensors, classes: 3, labels: ["red, crimson", bright_green, blue]}}
layers:
  pool: {adaptive_avg_pool: {size: 1}}
  flatten: flatten
  fc: {linear: {out: $classes}}
"""
COLOURS = {"Crimson": (200, 20, 20), "bright green": (20, 200, 20), "violet": (120, 0, 200)}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """Write a network whose outputs are the means of red, green and blue, with its weights."""
    save_file({"fc.weight": torch.eye(3), "fc.bias": torch.zeros(3)}, tmp_path / "colours.safetensors")
    path = tmp_path / "colours.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Write five images of each colour; the last green one is red."""
    root = tmp_path / "images"
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(5):
            shown = COLOURS["Crimson"] if (name, number) == ("bright green", 4) else colour
            pixels = np.full((6 + number, 9, 3), shown, np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def test_accuracy_is_of_the_folders_that_are_classes(spec: Path, images: Path) -> None:
    (images / "Crimson" / "broken.png").write_bytes(b"no image")
    measured = verify(zoo.read_spec(spec), "own", images)
    assert (measured.correct, measured.images, measured.outputs) == (9, 10, 3)
    assert set(measured.folders) == {"Crimson", "bright green"}
    assert (measured.left_out, measured.unreadable) == (("violet",), 1)


def test_wrong_order_of_labels_is_seen(spec: Path, images: Path) -> None:
    right, wrong = '"red, crimson", bright_green', 'bright_green, "red, crimson"'
    spec.write_text(spec.read_text().replace(right, wrong))
    done = CliRunner().invoke(app, ["zoo", "verify", str(spec), "--weights", "own", "--data", str(images)])
    assert "accuracy 0.1000, 95% interval 0.0179 to 0.4042: 1 of 10 images of 2 classes" in done.output
    assert "not clearly better than chance, 1 in 3" in done.output


def test_images_for_training_are_not_used(spec: Path, images: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / "split" / split).mkdir(parents=True)
        for folder in images.iterdir():
            (tmp_path / "split" / split / folder.name).symlink_to(folder)
    assert verify(zoo.read_spec(spec), "own", tmp_path / "split").images == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights.own.labels": "[a, b, c]"}, "no folder with images has the name of a class"),
        ({"weights.own.labels": "[a, b]"}, "has 2 names for 3 classes"),
        ({"weights.own.labels": "[]"}, "names of their classes are not known"),
        ({"task": "segmentation", "layers.fc": None}, "the task is segmentation"),
    ],
)
def test_what_cannot_be_measured_is_an_error(
    changes: dict[str, object], message: str, spec: Path, images: Path
) -> None:
    with pytest.raises(zoo.GraftError, match=message):
        verify(zoo.read_spec(spec, changes), "own", images)


def test_labels_of_imagenet_are_known_by_every_name() -> None:
    labels = find_labels(zoo.read_spec("resnet18"), "imagenet1k_v1")
    assert len(labels) == 1000
    assert match_classes(("n01443537", "Tinca tinca", "violet", "crane"), labels) == {0: 1, 1: 0}


def test_interval_of_wilson() -> None:
    assert wilson_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson_interval(1, 10) == pytest.approx((0.7225, 1), abs=1e-4)
