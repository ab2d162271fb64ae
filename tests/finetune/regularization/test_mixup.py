"""Mixup and cutmix: what becomes of images and labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from finetune.regularization.mixup import Mix

CLASSES = 4


def batch(images: int = 8) -> tuple[Tensor, Tensor]:
    """Each image is filled with its own number, so that a pixel tells where it is from."""
    numbers = torch.arange(images, dtype=torch.float32)
    return numbers.view(-1, 1, 1, 1).expand(-1, 3, 16, 16).clone(), torch.arange(images) % CLASSES


def test_mixup_blends_images_and_labels_by_the_same_share() -> None:
    images, targets = batch()
    mixed, rows = Mix(CLASSES, mixup=1.0)(images, targets, seed=3)
    share = (mixed[0, 0, 0, 0] - 7) / (0 - 7)
    assert 0.05 < share < 0.95
    torch.testing.assert_close(mixed, share * images + (1 - share) * images.flip(0))
    labels = F.one_hot(targets, CLASSES).float()
    torch.testing.assert_close(rows, share * labels + (1 - share) * labels.flip(0))


def test_cutmix_pastes_a_patch_and_counts_its_pixels() -> None:
    images, targets = batch()
    mixed, rows = Mix(CLASSES, cutmix=1.0)(images, targets, seed=3)
    pasted = mixed != images
    kept = 1 - pasted[0].float().mean()
    assert 0.05 < kept < 0.95
    assert torch.equal(mixed[pasted], images.flip(0)[pasted])
    assert all(torch.equal(pasted[0], one) for one in pasted)
    labels = F.one_hot(targets, CLASSES).float()
    torch.testing.assert_close(rows, kept * labels + (1 - kept) * labels.flip(0))


def test_mixup_and_cutmix_are_drawn_at_random() -> None:
    images, targets = batch()
    mix = Mix(CLASSES, mixup=1.0, cutmix=1.0)
    whole = [bool((mix(images, targets, seed=seed)[0] == images).any()) for seed in range(40)]
    assert 8 < sum(whole) < 32  # a patch leaves pixels as they were, a blend does not


@pytest.mark.parametrize("alpha", [0.2, 4.0])
def test_shares_are_drawn_from_the_beta_distribution(alpha: float) -> None:
    images, targets = batch(2)
    mix = Mix(CLASSES, mixup=alpha)
    shares = np.array([mix(images, targets, seed=seed)[1][0, 0].item() for seed in range(1000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.05)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_draws_depend_on_the_seed_alone() -> None:
    images, targets = batch()
    mix = Mix(CLASSES, mixup=0.4, cutmix=1.0)
    np.random.seed(0)
    first = mix(images, targets, seed=5)
    np.random.seed(1)
    drawn = np.random.get_state()[1]
    again = mix(images, targets, seed=5)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert np.array_equal(drawn, np.random.get_state()[1])
    assert not torch.equal(first[0], mix(images, targets, seed=6)[0])
    assert torch.equal(images, batch()[0])


@pytest.mark.parametrize("count", [1, 7])
def test_the_last_image_of_an_odd_batch_does_not_change(count: int) -> None:
    images, targets = batch(count)
    mixed, rows = Mix(CLASSES, mixup=1.0)(images, targets, seed=3)
    assert torch.equal(mixed[-1], images[-1])
    assert rows[-1].tolist() == F.one_hot(targets, CLASSES)[-1].tolist()
    assert (count == 1) == torch.equal(mixed, images)


def test_off_changes_nothing() -> None:
    images, targets = batch()
    mixed, rows = Mix(CLASSES)(images, targets, seed=3)
    assert torch.equal(mixed, images)
    assert torch.equal(rows.argmax(dim=1), targets)
