"""The last step of an exported model: logits to the output of the file, and by how much its best class leads.

Each function takes the logits (N, classes, …) and the uint8 images (N, height, width, 3) they came from.
"""

from __future__ import annotations

import torch
from torch import Tensor


def class_probabilities(logits: Tensor, _image: Tensor) -> Tensor:
    """Return the probability of each class, float32 (N, classes)."""
    return torch.softmax(logits, dim=1)


def class_margin(logits: Tensor, _image: Tensor) -> Tensor:
    """Return the difference of the two best probabilities, (N, …); 1 for a single class."""
    probabilities = torch.softmax(logits, dim=1)
    if probabilities.shape[1] == 1:
        return torch.ones_like(probabilities[:, 0])
    best = probabilities.topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


def pixel_classes(logits: Tensor, image: Tensor) -> Tensor:
    """Return the class of each pixel of the image, uint8 (N, height, width)."""
    return resize_nearest(logits.argmax(dim=1).to(torch.uint8), image)


def pixel_margin(logits: Tensor, image: Tensor) -> Tensor:
    """Return the difference of the two best probabilities at each pixel of the image, (N, height, width)."""
    return resize_nearest(class_margin(logits, image), image)


def resize_nearest(values: Tensor, image: Tensor) -> Tensor:
    """Give each pixel of `image` (N, H, W, 3) the value (N, h, w) under its centre.

    The positions are computed in whole numbers, so that every runtime finds the same ones.
    """
    rows, columns = (
        torch.div((2 * torch.arange(new) + 1) * old, 2 * new, rounding_mode="floor")
        for new, old in zip(image.shape[1:3], values.shape[1:3], strict=True)
    )
    return values[:, rows][:, :, columns]
