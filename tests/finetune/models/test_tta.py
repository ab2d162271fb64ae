"""Test-time augmentation: the views, the mean of their predictions, and the exported file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

import zoo
from finetune.api import run
from finetune.finished import load_run
from finetune.models.tta import TestTimeAugmented, apply_test_time_augmentation, five_crops
from finetune.transforms.defaults import flip_warning
from serve import Predictor

QUICK: dict[str, object] = {
    **{"data.val": 0.3, "data.test": 0.6, "finetune.epochs": 1, "finetune.precision": "float32"},
    **{"finetune.checks": "none", "finetune.monitor": "none", "export.parity_images": 8},
}


@pytest.mark.usefixtures("seeded")
def test_a_flip_averages_the_probabilities_of_an_image_and_its_mirror_image() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 5))
    images = torch.randn(2, 3, 4, 4)
    expected = (net(images).softmax(1) + net(images.flip(-1)).softmax(1)) / 2
    found = TestTimeAugmented(net, "flip")(images).softmax(1)
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(found, TestTimeAugmented(net, "flip")(images.flip(-1)).softmax(1), atol=1e-6)


def test_ten_crop_takes_corners_and_centre_and_their_mirror_images() -> None:
    rows = torch.arange(16.0).repeat(16, 1)
    image = torch.stack([rows, rows.T, torch.zeros(16, 16)])[None]
    shown = list(five_crops(image))
    assert {view.shape for view in shown} == {(1, 3, 16, 16)}
    assert [float(view[0, 1].mean()) for view in shown] == pytest.approx([6.5, 6.5, 8.5, 8.5, 7.5])
    assert [float(view[0, 0].mean()) for view in shown] == pytest.approx([6.5, 8.5, 6.5, 8.5, 7.5])

    class Count(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return images.mean((2, 3))

    seen: list[torch.Tensor] = []
    TestTimeAugmented(Count(), "ten_crop")(image)
    assert len(seen) == 10
    assert all(torch.equal(seen[i + 1], seen[i].flip(-1)) for i in range(0, 10, 2))


def test_without_augmentation_the_network_is_returned_unchanged() -> None:
    net = nn.Identity()
    assert apply_test_time_augmentation(net, None) is net


def test_a_run_measures_and_exports_the_augmented_network(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = run(
        "specs/lenet5.yaml",
        set=QUICK | {"finetune.test_time": "ten_crop"},
        run=folder,
        console=Console(quiet=True),
    )
    finished = load_run(folder)
    assert isinstance(finished.net, TestTimeAugmented)
    pixels = finished.val.images[0].read()
    with torch.inference_mode():
        image = finished.preprocess(torch.from_numpy(pixels)[None])
        expected = finished.calibrated(image).softmax(1)[0].numpy()
        assert finished.calibration is not None
        bare = (finished.net.net(image) / finished.calibration.temperature).softmax(1)[0].numpy()
    answered = Predictor(done.onnx).output(pixels)
    assert np.allclose(answered, expected, atol=1e-4)
    assert not np.allclose(answered, bare, atol=1e-3)
    assert any("finetune.test_time" in warning for warning in done.report.warnings)


def test_segmentation_refuses_test_time_augmentation(tmp_path: Path) -> None:
    with pytest.raises(zoo.GraftError, match=r"finetune\.test_time: has no meaning for segmentation"):
        run("specs/fcn32s.yaml", data=str(tmp_path), set={"finetune.test_time": "flip"}, run=tmp_path / "run")


def test_flips_of_digits_are_warned_of() -> None:
    assert "finetune.test_time mirrors" in str(flip_warning(["1", "2", "3"], [], at_test_time=True))
    assert flip_warning(["cat", "dog"], [], at_test_time=True) is None
