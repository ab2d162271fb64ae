"""Progressive resizing: sizes over a run, what it is refused for, and that a run with it trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_kit import QUIET
from torch import nn

import zoo
from finetune.api import run
from finetune.config.optim import ProgressiveResizing
from finetune.records.training import GradientTraining
from finetune.regularization.resizing import Resizing, build_resizing, scaled

pytestmark = pytest.mark.usefixtures("unexported")

HALF = ProgressiveResizing(initial_scale=0.5, delay_fraction=0.4, finetune_fraction=0.2)


def sizes(settings: ProgressiveResizing, steps: int = 10) -> list[int]:
    resizing, image = Resizing(settings, steps), torch.zeros(1, 3, 64, 64)
    return [resizing(image, step).shape[-1] for step in range(steps)]


def test_images_grow_from_the_initial_scale_to_the_full_size() -> None:
    assert sizes(HALF) == [32, 32, 32, 32, 32, 40, 48, 56, 64, 64]


def test_without_time_to_grow_the_size_jumps() -> None:
    settings = ProgressiveResizing(initial_scale=0.5, delay_fraction=0.7, finetune_fraction=0.3)
    assert sizes(settings) == [32] * 8 + [64] * 2


def test_a_small_image_is_the_large_one_averaged() -> None:
    image = torch.arange(64.0).repeat(64, 1)[None, None].expand(1, 3, 64, 64)
    small = Resizing(HALF, 10)(image, 0)
    assert small.shape == (1, 3, 32, 32)
    assert torch.allclose(small[0, 0, 5, 4:-4], torch.arange(0.5, 64, 2)[4:-4], atol=1e-4)


def test_masks_have_the_size_of_the_small_images_and_only_their_own_values() -> None:
    masks = torch.zeros(2, 64, 64, dtype=torch.long)
    masks[:, :, 32:], masks[1] = 3, 255
    small = Resizing(HALF, 10)
    resized = small.targets(masks, small(torch.rand(2, 3, 64, 64), 0))
    assert resized.shape == (2, 32, 32)
    assert resized.dtype == masks.dtype
    assert torch.equal(resized[0], masks[0, ::2, ::2])
    assert resized[1].unique().tolist() == [255]
    labels = torch.tensor([1, 2])
    assert small.targets(labels, small(torch.rand(2, 3, 64, 64), 0)) is labels


def test_a_side_that_no_multiple_fits_stays() -> None:
    assert [scaled(8, 0.5), scaled(28, 0.5), scaled(28, 1.0), scaled(224, 0.57)] == [8, 16, 28, 128]


def test_a_network_of_one_size_is_refused() -> None:
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
    with pytest.raises(zoo.GraftError, match="takes only 16 x 16") as caught:
        build_resizing(
            ProgressiveResizing(initial_scale=0.5), 10, fixed, zoo.Input(height=16, width=16), "fixed"
        )
    assert "global pooling" in str(caught.value)


def test_fractions_that_exceed_the_run_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 1, found 0\.7 \+ 0\.6"):
        ProgressiveResizing(delay_fraction=0.7, finetune_fraction=0.6)


def test_a_run_is_not_given_up_while_its_images_are_small(tmp_path: Path) -> None:
    settings: dict[str, object] = {
        **{"data.val": 0.3, "data.test": 0.6, "finetune.epochs": 6, "finetune.patience": 1},
        **{"finetune.learning_rate": 1e-9, "finetune.checks": "none", "finetune.monitor": "none"},
        **{"finetune.progressive_resizing": {"delay_fraction": 0.5, "finetune_fraction": 0.34}},
        **{"finetune.precision": "float32", "finetune.weights": "none", "finetune.report": False},
    }
    done = run("specs/resnet_tiny.yaml", set=settings, run=tmp_path / "run", console=QUIET)
    training = done.report.training
    assert isinstance(training, GradientTraining)
    assert training.epochs >= 4  # nothing is learned, and the full size comes in the fourth epoch
