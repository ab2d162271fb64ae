"""Images with the class of every pixel, as torch sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetune.data import DataError
from finetune.data.dataset import ImageDataset, one_thread
from pixels import ImageError


@dataclass(eq=False)
class MaskedDataset(ImageDataset):
    """As ImageDataset; item i is (uint8 (3, height, width), mask int64 (height, width)).

    What augmentation does to the geometry of an image it does to its mask.
    """

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, int | Tensor]]:
        """A batch at once."""
        taken = self.stored.take(indices)
        with one_thread():
            return [self._pair(image, i) for image, i in zip(taken, indices, strict=True)]

    def class_counts(self, classes: int) -> list[int]:
        """Count the pixels of each class in the masks at the network's size; reads every mask."""
        counts = sum(np.bincount(self._mask(i).ravel(), minlength=256) for i in range(len(self)))
        return [int(count) for count in np.asarray(counts)[:classes]]

    def _pair(self, image: Tensor, index: int) -> tuple[Tensor, Tensor]:
        from torchvision import tv_tensors

        mask = torch.from_numpy(self._mask(index))
        if self.augment is None:
            return image, mask
        with self.drawing(index):
            moved, along = self.augment(tv_tensors.Image(image), tv_tensors.Mask(mask))
        return moved.as_subclass(Tensor), along.as_subclass(Tensor)

    def _mask(self, index: int) -> NDArray[np.uint8]:
        try:
            mask = self.split.masks[index].read()
        except ImageError as error:
            raise DataError(f"{error}. It could be read when it was checked; did it change?") from error
        return shrink_mask(mask, self.preprocess.height, self.preprocess.width)


def shrink_mask(mask: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Each pixel takes the class under its middle. In: (H, W). Out: (height, width)."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip((height, width), mask.shape, strict=True)
    )
    shrunk: NDArray[np.uint8] = mask[rows][:, columns]
    return shrunk
