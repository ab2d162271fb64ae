"""Small pictures as part of a page."""

from __future__ import annotations

import base64
import colorsys
import io

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image, ImageOps

from finetune.data.images import ImageSource
from pixels import ImageError
from zoo.errors import GraftError

SIDE_PX = 160
SMALL_PX = 64
"""Smaller images are enlarged pixel by pixel, so that they do not look blurred."""
JPEG_START = b"\xff\xd8"
QUALITY = 75
GOLDEN_RATIO = 0.618034  # steps of this size round the colour circle keep neighbouring classes apart

Pixels = NDArray[np.uint8]


def embed_image(image: ImageSource) -> Markup:
    """Return a small copy of an image as a data URI; a grey tile where it cannot be read any more."""
    try:
        content = image.content()
        small = _draft(content) if content.startswith(JPEG_START) else Image.fromarray(image.decode(content))
    except (ImageError, GraftError, OSError, ValueError):
        small = Image.new("RGB", (SIDE_PX, SIDE_PX), "#ddd")
    return embed(small)


def embed_pixels(pixels: Pixels) -> Markup:
    """Return uint8 (height, width, 3) as a data URI."""
    return embed(Image.fromarray(pixels))


def embed(picture: Image.Image) -> Markup:
    """Return a picture as a data URI of a JPEG file, at most SIDE_PX wide and high."""
    picture = picture.convert("RGB")
    if max(picture.size) < SMALL_PX:
        factor = SIDE_PX // max(picture.size)
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture.thumbnail((SIDE_PX, SIDE_PX))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return Markup("data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode())


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


def _draft(content: bytes) -> Image.Image:
    """Decode a JPEG file at a part of its size, which takes a tenth of the time for a large photo."""
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        image.draft("RGB", (2 * SIDE_PX, 2 * SIDE_PX))
        image.thumbnail((SIDE_PX, SIDE_PX))
        return ImageOps.exif_transpose(image)
