"""One class per pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finetune.tasks.base import Task, register
from finetune.transforms import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

    from finetune.data.dataset import ImageDataset


@register
class Segmentation(Task):
    """One class per pixel. Targets: masks of class indices (N, height, width)."""

    name = "segmentation"
    dense = True
    target = "mask"
    metrics = ("mean_iou", "pixel_accuracy", "iou", "recall")
    score = "mean_iou"
    per_class = ("iou", "recall")
    ignore_index = IGNORED
    refuses = ("mixup", "cutmix", "test_time", "rand_augment", "trivial_augment", "folds", "balance")
    resize_rules = ("squash",)  # a mask has to cover its whole image
    memorised = 0.95  # the edges of masks are drawn coarser than the images

    def dataset_type(self) -> type[ImageDataset]:
        from finetune.data.masked_dataset import MaskedDataset

        return MaskedDataset

    def correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        counted = targets != self.ignore_index
        right = (logits.argmax(dim=1) == targets) & counted
        return right.flatten(1).sum(1).double() / counted.flatten(1).sum(1)

    def answer(self, logits: Tensor, image: Tensor) -> Tensor:
        """Return the class of each pixel of the image, uint8 (N, height, width)."""
        return resize_nearest(logits.argmax(dim=1).byte(), image)

    def margin(self, logits: Tensor, image: Tensor) -> Tensor:
        return resize_nearest(super().margin(logits, image), image)


def resize_nearest(values: Tensor, image: Tensor) -> Tensor:
    """Give each pixel of `image` (N, H, W, 3) the value (N, h, w) under its centre.

    The positions are computed in whole numbers, so that every runtime finds the same ones.
    """
    import torch

    rows, columns = (
        torch.div((2 * torch.arange(new) + 1) * old, 2 * new, rounding_mode="floor")
        for new, old in zip(image.shape[1:3], values.shape[1:3], strict=True)
    )
    return values[:, rows][:, :, columns]
