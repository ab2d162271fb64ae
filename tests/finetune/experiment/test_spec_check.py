"""What the sections of a recipe ask of each other: told with line and column, before any image is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import zoo
from finetune.experiment.recipe import read_recipe
from zoo.__main__ import app

TINY = "extends: resnet_tiny\nweights: {own: {file: own.safetensors}}\nfinetune:\n"
MISTAKES = [
    (TINY + "  weights: onw\n", "4:3: finetune.weights: spec has no weights 'onw'", "did you mean 'own'"),
    (TINY + "  stage_rates: {layer9: 0.1}\n", "4:3: finetune.stage_rates.layer9: the network", "layer1"),
    (TINY + "  weights: none\n  strategy: partial\n", "5:3: finetune.strategy: partial needs", "scratch"),
    (TINY + "  weights: none\n  l2_sp: {alpha: 0.1}\n", "5:3: finetune.l2_sp: ties weights", "none"),
    (
        "extends: examples/unet\nfinetune: {mixup: 0.2, strategy: linear_probe}\n",
        "2:12: finetune.mixup: has no meaning for segmentation",
        "partial, full or scratch",
    ),
    (
        "extends: examples/unet\naugment:\n  - horizontal_flip\n  - rand_augment\n",
        "4:5: augment.1.rand_augment: has no meaning for segmentation",
        "a spec without it",
    ),
    (
        TINY + "  loss: dice\n",
        "4:3: finetune.loss: dice is for mask targets",
        "one of: auto, cross_entropy, focal",
    ),
    (
        "extends: examples/unet\nfinetune: {loss: dice}\n",
        "2:12: finetune.loss: dice takes no soft targets, and finetune.label_smoothing is 0.1",
        "finetune.label_smoothing=0",
    ),
    (TINY + "  loss: {focal: {gama: 1}}\n", "4:18: finetune.loss.focal: unknown key 'gama'", "gamma"),
    (
        TINY + "  adversarial: {fgsm: {}}\n  progressive_resizing: {}\ndata: {normalise: mean_image}\n",
        "5:3: finetune.progressive_resizing: cannot be combined",
        "a spec without one of the three",
    ),
    (
        TINY + "  epochs: 1\naugment:\n  - crop: {padding: 32, fill: reflect}\n",
        "6:5: augment.0.crop.padding: 32 pixels of images of 32 cannot be filled",
        "31 at most",
    ),
]


@pytest.mark.parametrize(("text", "message", "hint"), MISTAKES)
def test_a_mistake_is_told_by_its_place(text: str, message: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(zoo.SpecError) as caught:
        zoo.read_spec(path)
    assert f"{path}:{message}" in str(caught.value)
    assert hint in str(caught.value)
    said = CliRunner().invoke(app, ["validate", str(path)])
    assert said.exit_code != 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("plan: gone.json", "finetune.plan: gone.json is not there"),
        ("distill: {run: gone}", "finetune.distill: gone is not there"),
    ],
)
def test_a_file_that_a_run_needs_is_missed_before_the_data(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(f"extends: resnet_tiny\nfinetune: {{{line}}}\n")
    zoo.read_spec(path)  # what a run left behind is read without them
    with pytest.raises(zoo.SpecError) as caught:
        read_recipe(path, data=str(tmp_path / "no images here"))
    assert f"{path}:2:12: {message}" in str(caught.value)
