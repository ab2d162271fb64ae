"""Real images that need no file and no network: scikit-learn's handwritten digits."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from finetune.config.data import DataSettings
from finetune.data.images import ArrayImage
from finetune.data.source import ClassSource, Pool, class_item, source

MAX_VALUE = 16  # the digits hold 0 to 16


@source("builtin")
class Digits(ClassSource):
    """1,797 digits of 8x8 pixels, as RGB, in ten classes.

    Source: Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", from scikit-learn.
    """

    def __init__(self, settings: DataSettings) -> None:
        self.where = "the built-in digits"

    def find(self) -> Pool:
        targets = _load()[1].tolist()
        items = [class_item(self.open_image(f"digits/{row}"), target) for row, target in enumerate(targets)]
        return Pool(tuple("0123456789"), {"train": items})

    def open_image(self, key: str) -> ArrayImage:
        return ArrayImage(key, _load()[0][int(key.removeprefix("digits/"))])


@cache
def _load() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the pixels, uint8 (1797, 8, 8, 3), and the digits, int64 (1797,)."""
    from sklearn.datasets import load_digits

    values, targets = load_digits(return_X_y=True)
    grey = np.rint(values.reshape(-1, 8, 8, 1) * (255 / MAX_VALUE)).astype(np.uint8)
    return np.repeat(grey, 3, axis=3), targets.astype(np.int64)
