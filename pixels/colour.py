"""Convert any Pillow mode to RGB: transparency is composed on white, more than 8 bits are scaled to 8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from pixels.errors import ImageError

WHITE = 255
STRIP_PIXELS = 2**20
BITS_PER_SAMPLE = int(ExifTags.Base.BitsPerSample)
PHOTOMETRIC = int(ExifTags.Base.PhotometricInterpretation)


def rgb_strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Yield the image in mode RGB, in strips of its whole width, so that no second copy of it is made.

    Out: the rows of each strip, and its pixels.
    Raises: ImageError for values of unknown range (32-bit integers, floats outside 0 to 1).
    """
    deep = image.mode.startswith("I") or image.mode == "F"
    white = (1.0 if image.mode == "F" else white_value(image)) if deep else 0.0
    inverted = _tiff_tag(image, PHOTOMETRIC, 1) == 0  # white is zero; Pillow inverts 8 bits, but not 16
    height = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, height):
        rows = slice(top, min(top + height, image.height))
        strip = image.crop((0, rows.start, image.width, rows.stop))
        yield rows, _convert_rgb(_reduce_depth(strip, white, inverted=inverted) if deep else strip)


def _convert_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        return _compose_on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _compose_on_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":  # premultiplied alpha; Pillow converts it to RGBA in two steps
        image = image.convert("LA")
    background = Image.new("RGBA", image.size, (WHITE, WHITE, WHITE, WHITE))
    return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")


def _reduce_depth(image: Image.Image, top: float, *, inverted: bool) -> Image.Image:
    """Round one channel of 16-bit integers, or of floats from 0 to 1, to the nearest of 256 greys."""
    values = np.asarray(image)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= top):
        raise ImageError(
            f"mode {image.mode} with values from {values.min():g} to {values.max():g}; expected 0 to {top:g}"
        )
    greys = np.rint(values.astype(np.float64) * (WHITE / top)).astype(np.uint8)
    if inverted:
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
