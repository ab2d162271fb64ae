"""Real images that need no file and no network: scikit-learn's handwritten digits."""

from __future__ import annotations

from functools import cache

import numpy as np

from finetune.data.images import ArrayImage
from finetune.data.pool import Labelled, Pool, Source

BRIGHTEST = 16  # the digits hold 0 to 16


def digits_source() -> Source:
    """1,797 digits of 8x8 pixels, as RGB, in ten classes.

    Source: Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", by way of scikit-learn.
    """
    return Source(
        "the built-in digits", lambda: Pool("the built-in digits", _classes(), {"train": _digits()}), _open
    )


def _classes() -> tuple[str, ...]:
    return tuple(str(digit) for digit in range(10))


@cache
def _digits() -> list[Labelled]:
    from sklearn.datasets import load_digits

    values, targets = load_digits(return_X_y=True)
    grey = np.rint(values.reshape(-1, 8, 8, 1) * (255 / BRIGHTEST)).astype(np.uint8)
    images = np.repeat(grey, 3, axis=3)
    return [
        Labelled(ArrayImage(f"digits/{i}", pixels), int(target))
        for i, (pixels, target) in enumerate(zip(images, targets, strict=True))
    ]


def _open(key: str) -> ArrayImage:
    image = _digits()[int(key.removeprefix("digits/"))].image
    assert isinstance(image, ArrayImage)
    return image
