"""The outputs of frozen stages for a split, computed once and kept in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from finetune.data.dataset import EpochDataset, ImageDataset, loader
from finetune.data.shared_memory import MIB
from finetune.features.frozen_stages import FrozenStages


@dataclass(frozen=True)
class View:
    """All images of a split, augmented once: `outputs` (N, …) of the frozen stages, and `targets` (N, …)."""

    outputs: Tensor
    targets: Tensor


@dataclass(eq=False)
class CachedFeatures(EpochDataset):
    """A data set of the frozen stages' outputs for a split; item i is (output, target).

    Epoch e shows view e mod `views`, and view v is made from epoch v of the images: with as many views as
    epochs, an epoch shows what it would show without the cache. `compute` maps uint8 images (N, 3, height,
    width) to outputs (N, …). Each view is computed at its first epoch, always in the same batches, so that a
    resumed run gets the same numbers.
    """

    images: ImageDataset
    compute: Callable[[Tensor], Tensor]
    views: int
    batch_size: int
    workers: int = 0
    epoch: int = 0
    cached: dict[int, View] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.target_dtype = self.images.target_dtype

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        self.fill()
        view = self.cached[self.epoch % self.views]
        return view.outputs[index], view.targets[index]

    def set_epoch(self, epoch: int) -> None:
        """Show the view of this epoch."""
        self.epoch = epoch

    def fill(self) -> None:
        """Compute the view of this epoch, unless it is cached."""
        number = self.epoch % self.views
        if number not in self.cached:
            self.cached[number] = self._compute_view(number)

    def _compute_view(self, number: int) -> View:
        images = replace(self.images)  # keeps the epoch of the images
        batches = loader(images, self.batch_size, epoch=number, workers=self.workers)
        whole: View | None = None
        start = 0
        for pixels, targets in batches:
            part = View(self.compute(pixels), targets.to(self.images.stored_dtype))
            whole = whole or View(_allocate(part.outputs, len(self)), _allocate(part.targets, len(self)))
            rows = slice(start, start + len(pixels))
            whole.outputs[rows], whole.targets[rows] = part.outputs, part.targets
            start += len(pixels)
        assert whole is not None, "a split has images"
        return whole


def view_mb(frozen: FrozenStages, images: ImageDataset) -> float:
    """Return the memory that one view of these images takes, in MiB."""
    target_bytes = torch.as_tensor(images[0][1]).numel() * images.stored_dtype.itemsize
    return len(images) * (math.prod(frozen.shape) * frozen.dtype.itemsize + target_bytes) / MIB


def _allocate(part: Tensor, count: int) -> Tensor:
    return torch.empty((count, *part.shape[1:]), dtype=part.dtype)
