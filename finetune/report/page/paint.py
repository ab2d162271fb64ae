"""Painting on pictures: heatmaps, and the classes of pixels."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GOLDEN_RATIO = 0.618034  # steps of this size round the colour circle keep neighbouring classes apart

Pixels = NDArray[np.uint8]


def overlay_heat(pixels: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """Lay a map of what decided over a picture: what decided keeps its colours, the rest fades to blue.

    In: uint8 (height, width, 3); heat from 0 to 1, of any size.
    """
    height, width = pixels.shape[:2]
    wide = Image.fromarray((heat * 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    share = 0.25 + 0.75 * np.asarray(wide, np.float32)[..., None] / 255
    cold = np.array([20, 30, 90], np.float32)
    return (pixels * share + cold * (1 - share)).astype(np.uint8)


def paint_mask(pixels: Pixels, mask: Pixels, ignored: int | None) -> Pixels:
    """Blend the colour of each pixel's class half and half with the picture; what is not labelled is black.

    In: uint8 (height, width, 3), class numbers uint8 (height, width).
    """
    palette = np.array([class_colour(number) for number in range(256)], np.uint8)
    if ignored is not None:
        palette[ignored] = 0
    blend: Pixels = ((pixels.astype(np.uint16) + palette[mask]) // 2).astype(np.uint8)
    return blend


def class_colour(number: int) -> tuple[int, int, int]:
    """Return the colour of a class, as the demo shows it."""
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN_RATIO % 1, 0.65, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
