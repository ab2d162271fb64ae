"""What an image looks like from afar: its size, a small grey copy, and how colourful it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
"""Height and width of the grey copy."""


@dataclass(frozen=True, slots=True)
class Look:
    """Width and height in pixels; `grey` uint8 (SIDE, SIDE); `colour`, the mean difference between the
    largest and the smallest channel of a pixel, from 0 (grey) to 255."""

    width: int
    height: int
    grey: NDArray[np.uint8]
    colour: float


def look_at(pixels: NDArray[np.uint8]) -> Look:
    """Return the look of an image. In: RGB (H, W, 3)."""
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    factor = min(height, width) // (2 * SIDE)
    if factor > 1:
        image = image.reduce(factor)  # an average of whole pixels, which is fast
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    grey = np.asarray(Image.fromarray(small).convert("L"))
    colour = float((small.max(axis=2).astype(np.int16) - small.min(axis=2)).mean())
    return Look(width, height, grey, colour)
