"""Any Pillow mode to RGB: alpha lands on white, more than 8 bits are scaled to 8."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pixels.errors import ImageError

WHITE = 255
BITS_PER_SAMPLE = int(ExifTags.Base.BitsPerSample)
PHOTOMETRIC = int(ExifTags.Base.PhotometricInterpretation)


def convert_rgb(image: Image.Image) -> Image.Image:
    """The image in mode RGB.

    Raises: ImageError for numbers whose range is not known (32-bit integers, floats outside 0..1).
    """
    if image.mode.startswith("I") or image.mode == "F":
        image = _reduce_depth(image)
    if image.has_transparency_data:
        return _flatten(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _flatten(image: Image.Image) -> Image.Image:
    """Alpha, or a transparent colour, composed on white."""
    if image.mode == "La":  # premultiplied; Pillow takes it to RGBA in two steps
        image = image.convert("LA")
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    ground = Image.new("RGBA", rgba.size, (WHITE, WHITE, WHITE, WHITE))
    return Image.alpha_composite(ground, rgba).convert("RGB")


def _reduce_depth(image: Image.Image) -> Image.Image:
    """One channel of 16-bit integers, or of floats 0..1, rounded to the nearest of 256 greys."""
    values = np.asarray(image)
    top = 1.0 if image.mode == "F" else _largest_integer(image)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= top):
        low, high = values.min(), values.max()
        raise ImageError(
            f"mode {image.mode} with values from {low:g} to {high:g}: 0 to {top:g} is understood"
        )
    greys = np.rint(values.astype(np.float64) * (WHITE / top)).astype(np.uint8)
    if _tiff_tag(image, PHOTOMETRIC, 1) == 0:  # white is zero; Pillow turns 8 bits round, but not 16
        greys = WHITE - greys
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        greys[values == transparent] = WHITE
    return Image.fromarray(greys)


def _largest_integer(image: Image.Image) -> float:
    """White in an image of integers: 65535, or less where a TIFF file says 12 bits."""
    bits = _tiff_tag(image, BITS_PER_SAMPLE, (16,))
    return float(2 ** min(int(bits[0]), 16) - 1)


def _tiff_tag(image: Image.Image, tag: int, default: Any) -> Any:  # noqa: ANN401  tags hold numbers or tuples
    tags = getattr(image, "tag_v2", None)
    return default if tags is None else tags.get(tag, default)


def as_array(image: Image.Image) -> NDArray[np.uint8]:
    """A writable copy of an RGB image, (height, width, 3)."""
    return np.array(image, dtype=np.uint8)
