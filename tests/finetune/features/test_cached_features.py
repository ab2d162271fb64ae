"""Stored outputs: each view is what its epoch of images gives, computed once and found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from subject_kit import digits
from torch import Tensor

from finetune.data import ArrayImage
from finetune.data.dataset import EpochDataset, ImageDataset, loader
from finetune.data.masked_dataset import MaskedDataset
from finetune.data.subset import pick_rows
from finetune.features.cached_features import CachedFeatures, view_mb
from finetune.features.frozen_stages import FrozenStages
from finetune.transforms.augment import build_augment
from finetune.transforms.defaults import default_augmentation
from finetune.transforms.preprocess import Preprocess

COUNT = 21


def pictures() -> ImageDataset:
    whole = digits().train
    split = pick_rows([whole], np.arange(COUNT))
    augment = build_augment(default_augmentation([str(i) for i in range(10)], (8, 8)), size=(8, 8))
    return ImageDataset(split, Preprocess(height=8, width=8), augment=augment, seed=3)


class Halved:
    """Replaces the frozen stages: half of each pixel; counts the images."""

    def __init__(self) -> None:
        self.images = 0

    def __call__(self, pixels: Tensor) -> Tensor:
        self.images += len(pixels)
        return pixels / 2


def epoch_of(dataset: EpochDataset, epoch: int, start_batch: int = 0) -> tuple[Tensor, Tensor]:
    batches = list(loader(dataset, 4, shuffle_seed=1, epoch=epoch, start_batch=start_batch))
    return torch.cat([images for images, _ in batches]), torch.cat([targets for _, targets in batches])


def test_a_view_has_the_images_of_its_epoch() -> None:
    images, compute = pictures(), Halved()
    stored = CachedFeatures(images, compute, views=3, batch_size=8)
    for epoch in range(3):
        outputs, targets = epoch_of(stored, epoch)
        expected, truth = epoch_of(images, epoch)
        assert torch.equal(outputs, expected / 2)
        assert torch.equal(targets, truth)
    assert not torch.equal(stored.cached[0].outputs, stored.cached[1].outputs)
    assert compute.images == 3 * COUNT


def test_views_are_shown_in_turn_and_computed_once() -> None:
    compute = Halved()
    stored = CachedFeatures(pictures(), compute, views=2, batch_size=8)
    first = [epoch_of(stored, epoch)[0] for epoch in range(2)]
    seen = compute.images
    later = [epoch_of(stored, epoch)[0] for epoch in (2, 3)]
    assert compute.images == seen == 2 * COUNT
    for before, after in zip(first, later, strict=True):  # the same rows, in another order
        assert torch.equal(before.flatten(1).sum(1).sort().values, after.flatten(1).sum(1).sort().values)
        assert not torch.equal(before, after)


def test_only_views_that_are_shown_are_computed() -> None:
    compute = Halved()
    resumed = CachedFeatures(pictures(), compute, views=4, batch_size=8)
    unbroken = CachedFeatures(pictures(), Halved(), views=4, batch_size=8)
    for epoch in range(6):
        expected = epoch_of(unbroken, epoch)[0]
    assert torch.equal(epoch_of(resumed, 5, start_batch=2)[0], expected[8:])
    assert list(resumed.cached) == [1]
    assert compute.images == COUNT


def test_the_images_keep_their_epoch() -> None:
    images = pictures()
    images.set_epoch(7)
    epoch_of(CachedFeatures(images, Halved(), views=2, batch_size=8), 1)
    assert images.epoch == 7


def test_masks_belong_to_their_view_and_take_a_byte_per_pixel() -> None:
    whole = digits().train
    masks = tuple(ArrayImage(f"{i}", np.full((8, 8), 250 + i, dtype=np.uint8)) for i in range(5))
    split = replace(pick_rows([whole], np.arange(5)), targets=np.array(masks))
    images = MaskedDataset(split, Preprocess(height=8, width=8))
    stored = CachedFeatures(images, Halved(), views=1, batch_size=2)
    _, targets = epoch_of(stored, 0)
    assert targets.dtype == torch.int64
    assert torch.equal(targets, epoch_of(images, 0)[1])
    assert targets.max() == 254
    view = stored.cached[0]
    lower = FrozenStages("low", {}, (3, 8, 8), (3, 8, 8), torch.float32)
    size = view.outputs.nbytes + view.targets.nbytes
    assert view_mb(lower, images) * 2**20 == size == 5 * (3 * 64 * 4 + 64)
