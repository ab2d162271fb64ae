"""Images with the class of every pixel, as a torch data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetune.data.dataset import ImageDataset
from finetune.data.pixels import changed_since_scan


@dataclass(eq=False)
class MaskedDataset(ImageDataset):
    """An ImageDataset whose item i is (uint8 (3, height, width), mask uint8 (height, width)).

    Augmentations that move the pixels of an image move those of its mask.
    """

    stored_dtype = torch.uint8

    def class_counts(self, classes: int) -> list[int]:
        """Count the pixels of each class in the masks at the network's size; reads every mask."""
        counts = sum(np.bincount(self._mask(i).ravel(), minlength=256) for i in range(len(self)))
        return [int(count) for count in np.asarray(counts)[:classes]]

    def pair(self, image: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """Return the augmented image and its mask."""
        from torchvision import tv_tensors

        mask = torch.from_numpy(self._mask(index))
        if self.augment is None:
            return image, mask
        with self.drawing(index):
            image, mask = self.augment(tv_tensors.Image(image), tv_tensors.Mask(mask))
        return image.as_subclass(Tensor), mask.as_subclass(Tensor)

    def _mask(self, index: int) -> NDArray[np.uint8]:
        with changed_since_scan():
            mask = self.split.targets[index].read()
        return shrink_mask(mask, self.preprocess.height, self.preprocess.width)


def shrink_mask(mask: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize a mask (H, W) to (height, width): each pixel takes the class under its centre."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip((height, width), mask.shape, strict=True)
    )
    shrunk: NDArray[np.uint8] = mask[rows][:, columns]
    return shrunk
