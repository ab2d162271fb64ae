"""What the frozen lower part of a network makes of a split, computed once and kept in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from finetune.data.dataset import MIB, EpochDataset, ImageDataset, loader
from finetune.features.lower import Lower


@dataclass(frozen=True)
class View:
    """All images of a split, augmented once: `outputs` (N, …) of the lower part, and `targets` (N, …)."""

    outputs: Tensor
    targets: Tensor


@dataclass(eq=False)
class StoredOutputs(EpochDataset):
    """A split as the lower part gives it out; item i is (output, target).

    Epoch e shows view e mod `views`, and view v is made of what epoch v of the images shows: with as many
    views as epochs, an epoch shows what it would show without being stored. `compute` takes uint8 images (N,
    3, height, width) to outputs (N, …) in memory; each view is computed when its epoch first comes, always in
    the same batches, so that a run that goes on after a break gets the same numbers.
    """

    images: ImageDataset
    compute: Callable[[Tensor], Tensor]
    views: int
    batch_size: int
    workers: int = 0
    epoch: int = 0
    stored: dict[int, View] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        self.fill()
        view = self.stored[self.epoch % self.views]
        return view.outputs[index], view.targets[index]

    def set_epoch(self, epoch: int) -> None:
        """Show the view of this epoch from now on."""
        self.epoch = epoch

    def fill(self) -> None:
        """Compute the view of this epoch, unless it is there."""
        number = self.epoch % self.views
        if number not in self.stored:
            self.stored[number] = self._view(number)

    def _view(self, number: int) -> View:
        images = replace(self.images)  # the epoch of the images themselves stays
        batches = loader(images, self.batch_size, epoch=number, workers=self.workers)
        whole: View | None = None
        start = 0
        for pixels, targets in batches:
            part = View(self.compute(pixels), _narrow(targets))
            whole = whole or View(_room(part.outputs, len(self)), _room(part.targets, len(self)))
            rows = slice(start, start + len(pixels))
            whole.outputs[rows], whole.targets[rows] = part.outputs, part.targets
            start += len(pixels)
        assert whole is not None, "a split has images"
        return whole


def view_mb(lower: Lower, images: ImageDataset) -> float:
    """How much memory one view of these images takes, in MiB."""
    target = images[0][1]
    places = target.numel() if isinstance(target, Tensor) else torch.long.itemsize
    return len(images) * (math.prod(lower.shape) * lower.dtype.itemsize + places) / MIB


def _room(part: Tensor, count: int) -> Tensor:
    return torch.empty((count, *part.shape[1:]), dtype=part.dtype)


def _narrow(targets: Tensor) -> Tensor:
    """Class numbers as they are; masks in one byte a pixel, as they are read."""
    return targets if targets.ndim == 1 else targets.byte()
