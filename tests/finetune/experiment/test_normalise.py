"""`data.normalise`: the weights' constants, the training set's, or its mean image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from search_kit import write_digits

import zoo
from finetune.api import run
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.finished import load_run

QUICK: dict[str, object] = {
    **{"data.val": 0.3, "data.test": 0.6, "finetune.epochs": 1, "finetune.precision": "float32"},
    **{"finetune.checks": "none", "finetune.monitor": "none", "export.parity_images": 8},
}
OWN = {"mean": [0.25, 0.5, 0.75], "std": [0.5, 0.25, 0.125]}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec with weights that say how they were normalised."""
    folder = tmp_path_factory.mktemp("weights")
    save_file(zoo.build("resnet_tiny", seed=1).state_dict(), folder / "own.safetensors")
    entry = {"file": "own.safetensors", "classes": 200, "input": {"height": 32, "width": 32, **OWN}}
    (folder / "spec.yaml").write_text(f"extends: resnet_tiny\nweights: {{own: {json.dumps(entry)}}}\n")
    return folder / "spec.yaml"


def set_up(spec: Path, normalise: str, weights: str = "own") -> Setup:
    recipe = read_recipe(spec, set={"data.normalise": normalise, "finetune.weights": weights})
    return prepare(recipe, load_data(recipe))


def pixels_of(setup: Setup) -> torch.Tensor:
    """The training images as the network sees them, without augmentation."""
    return setup.preprocess.normalise(torch.from_numpy(np.stack(list(setup.train.images()))))


@pytest.mark.parametrize("normalise", ["auto", "weights"])
def test_the_weights_constants_are_used(spec: Path, normalise: str) -> None:
    setup = set_up(spec, normalise)
    assert setup.preprocess.mean.flatten().tolist() == OWN["mean"]
    assert setup.preprocess.std.flatten().tolist() == OWN["std"]


def test_the_training_sets_constants_give_mean_0_and_deviation_1(spec: Path) -> None:
    pixels = pixels_of(set_up(spec, "training_set"))
    assert pixels.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert pixels.std((0, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=1e-3)


def test_less_the_mean_image_every_pixel_has_mean_0(spec: Path) -> None:
    centred, plain = pixels_of(set_up(spec, "mean_image")), pixels_of(set_up(spec, "training_set"))
    assert centred.mean(0).abs().max() < 1e-3
    assert plain.mean(0).abs().max() > 0.5


def test_weights_that_are_not_there_cannot_normalise(spec: Path) -> None:
    with pytest.raises(zoo.GraftError, match=r"data\.normalise is weights, and the run starts without any"):
        set_up(spec, "weights", weights="none")


@pytest.mark.parametrize("name", ["specs/lenet5.yaml", "specs/resnet_tiny.yaml"])  # one channel and three
def test_a_run_with_a_mean_image_is_exported_and_set_up_again(name: str, tmp_path: Path) -> None:
    done = run(
        name,
        data=str(write_digits(tmp_path / "digits")),
        set=QUICK | {"data.normalise": "mean_image", "finetune.weights": "none"},
        run=tmp_path / "run",
        console=Console(quiet=True),
    )
    finished = load_run(done.folder)
    assert finished.preprocess.mean.shape[-2:] == (32, 32)
    assert done.report.exports["onnx"].numbers["top1_differences"] == 0


def test_a_search_of_what_is_no_key_is_refused_as_the_spec_is_read(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("extends: lenet5\nsearch:\n  space: {finetune.learning_rat: {log: [1e-6, 1]}}\n")
    with pytest.raises(zoo.SpecError) as caught:
        zoo.read_spec(path)
    assert f"{path}:3:11" in str(caught.value)
    assert "learning_rat" in str(caught.value)
