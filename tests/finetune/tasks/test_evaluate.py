"""Evaluation over batches of which some, or parts, do not count."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from finetune.tasks import find_task
from finetune.tasks.evaluate import evaluate
from finetune.transforms import IGNORED

CPU = torch.device("cpu")


def score_of(images: Tensor) -> Tensor:
    """Logits (N, 2, h, w) of images (N, 3, h, w): the first two channels."""
    return images[:, :2].float()


def test_the_loss_is_the_mean_over_the_pixels_that_count() -> None:
    images = torch.arange(4 * 3 * 2 * 2, dtype=torch.uint8).reshape(4, 3, 2, 2) % 7
    targets = torch.tensor([[[0, 1], [1, 1]], [[IGNORED, 1], [IGNORED, IGNORED]], *2 * [2 * [2 * [IGNORED]]]])
    batches = [(images[:1], targets[:1]), (images[1:2], targets[1:2]), (images[2:], targets[2:])]
    found = evaluate(score_of, batches, find_task("segmentation"), ["a", "b"], CPU)
    expected = F.cross_entropy(score_of(images), targets, ignore_index=IGNORED)
    assert found.loss == pytest.approx(float(expected), rel=1e-6)
    whole = evaluate(score_of, [(images, targets)], find_task("segmentation"), ["a", "b"], CPU)
    assert found.numbers == pytest.approx(whole.numbers, rel=1e-6)


def test_no_pixel_that_counts_is_no_loss() -> None:
    images, targets = torch.zeros(1, 3, 2, 2, dtype=torch.uint8), torch.full((1, 2, 2), IGNORED)
    assert evaluate(score_of, [(images, targets)], find_task("segmentation"), ["a", "b"], CPU).loss == 0.0
