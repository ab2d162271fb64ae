"""Mixup and CutMix: pairs of images and of their labels are blended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Mix:
    """Blends each image of a batch with another one; with both alphas above 0, a random one of the two ways.

    `mixup` and `cutmix` are alphas of Beta(alpha, alpha), from which the share of the first image is drawn.
    Source: Zhang et al. 2017, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899.
    """

    classes: int
    mixup: float = 0.0
    cutmix: float = 0.0

    def __call__(self, images: Tensor, targets: Tensor, *, seed: int) -> tuple[Tensor, Tensor]:
        """Blend a batch; the last image of a batch of odd size is not changed.

        In: images (N, C, H, W) float; targets (N,) class indices; the draws depend only on `seed`.
        Out: images of the same shape; targets (N, classes), each row a distribution, without label smoothing.
        """
        mixed = images.clone()
        rows = F.one_hot(targets, self.classes).to(torch.float32)
        even = len(images) // 2 * 2
        if not even or not (self.mixup or self.cutmix):
            return mixed, rows
        from timm.data import Mixup

        blend = Mixup(self.mixup, self.cutmix, label_smoothing=0.0, num_classes=self.classes)
        with _numpy_seeded(seed):
            # timm changes the images in place
            _, rows[:even] = blend(mixed[:even], targets[:even])
        return mixed, rows


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, from which timm draws, and restore its state after the block."""
    state = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        np.random.set_state(state)
