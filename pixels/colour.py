"""Convert any Pillow mode to RGB: transparency is composed on white, more than 8 bits are scaled to 8."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import ExifTags, Image

from pixels.errors import ImageError

WHITE = 255
BITS_PER_SAMPLE = int(ExifTags.Base.BitsPerSample)
PHOTOMETRIC = int(ExifTags.Base.PhotometricInterpretation)


def convert_rgb(image: Image.Image) -> Image.Image:
    """Return the image in mode RGB.

    Raises: ImageError for values of unknown range (32-bit integers, floats outside 0 to 1).
    """
    if image.mode.startswith("I") or image.mode == "F":
        image = _reduce_depth(image)
    if image.has_transparency_data:
        return _compose_on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _compose_on_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":  # premultiplied alpha; Pillow converts it to RGBA in two steps
        image = image.convert("LA")
    background = Image.new("RGBA", image.size, (WHITE, WHITE, WHITE, WHITE))
    return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")


def _reduce_depth(image: Image.Image) -> Image.Image:
    """Round one channel of 16-bit integers, or of floats from 0 to 1, to the nearest of 256 greys."""
    values = np.asarray(image)
    top = 1.0 if image.mode == "F" else white_value(image)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= top):
        raise ImageError(
            f"mode {image.mode} with values from {values.min():g} to {values.max():g}; expected 0 to {top:g}"
        )
    greys = np.rint(values.astype(np.float64) * (WHITE / top)).astype(np.uint8)
    if _tiff_tag(image, PHOTOMETRIC, 1) == 0:  # white is zero; Pillow inverts 8 bits, but not 16
        greys = WHITE - greys
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        greys[values == transparent] = WHITE
    return Image.fromarray(greys)


def white_value(image: Image.Image) -> float:
    """Return the value of white in an image of integers: 65535, or less for a TIFF file of 12 bits."""
    bits = _tiff_tag(image, BITS_PER_SAMPLE, (16,))
    return float(2 ** min(int(bits[0]), 16) - 1)


def _tiff_tag(image: Image.Image, tag: int, default: Any) -> Any:  # noqa: ANN401  numbers or tuples
    tags = getattr(image, "tag_v2", None)
    return default if tags is None else tags.get(tag, default)
