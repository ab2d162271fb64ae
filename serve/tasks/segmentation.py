"""Segmentation: the class of every pixel."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve.tasks.base import Output, Task, register
from serve.tasks.comparison import CLEAR_MARGIN, Difference, Pair, Parity

GOLDEN_RATIO = 0.618034  # steps of this size round the colour circle keep neighbouring classes apart


@register
class Segmentation(Task):
    """The output is a mask, uint8 (batch, height, width), the class number of each pixel of the image."""

    name = "segmentation"
    output = Output("mask", "tensor(uint8)", 3)
    score = ("mean_iou", "mean IoU")
    value_name = "share"
    max_classes = 256
    dense = True

    def values(self, output: NDArray[Any], classes: int) -> NDArray[np.floating[Any]]:
        """Return each class's share of the pixels."""
        return np.bincount(output.ravel(), minlength=classes) / np.float64(output.size)

    def check_output(self, output: NDArray[Any], images: Sequence[int], classes: int) -> str:
        """Every pixel has the number of a class."""
        if output.shape != tuple(images[:3]):
            return f"it answers {output.shape} for images of {tuple(images)}"
        return "" if output.max() < classes else f"it answers class {output.max()} of {classes} classes"

    def compare(self, pair: Pair, _labels: Sequence[str]) -> Difference:
        """Compare the class of every pixel where it is clear."""
        clear = pair.margin > CLEAR_MARGIN
        wrong = int(((pair.actual != pair.expected) & clear).sum())
        fault = f"{wrong} of {pair.actual.size} pixels have another class" if wrong else ""
        if not np.isfinite(pair.margin).all():
            fault = "the network's probabilities are not finite"
        return Difference(pair.name, bool(clear.any()), None, fault)

    def summary(self, parity: Parity) -> str:
        return f"the exported file gives the same class for every clear pixel of {parity.images} images"

    def draw(self, picture: NDArray[np.uint8], output: NDArray[Any]) -> NDArray[np.uint8]:
        """Blend each class's colour half and half with the picture."""
        palette = np.array([_rgb(number) for number in range(256)], np.uint8)
        blend: NDArray[np.uint8] = ((picture.astype(np.uint16) + palette[output]) // 2).astype(np.uint8)
        return blend

    def colours(self, labels: Sequence[str]) -> Mapping[str, str]:
        """Return the CSS colour of each class."""
        return {label: "rgb({},{},{})".format(*_rgb(number)) for number, label in enumerate(labels)}


def _rgb(number: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN_RATIO % 1, 0.65, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
