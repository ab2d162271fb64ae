"""Images as people send them to pixels, and a model's output to bytes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixels import decode_rgb
from serve.artifact import check_pixels

ImageLike: TypeAlias = str | Path | bytes | Image.Image | NDArray[np.uint8]

MAX_PIXELS = 50_000_000
"""Limit for an encoded image, from Python, the command line or a client; answering takes up to 0.8 GB."""


def read_image(image: ImageLike) -> NDArray[np.uint8]:
    """Return RGB pixels, uint8 (height, width, 3), of a path, encoded bytes, a PIL image or such an array.

    Raises: ImageError if it is no image, has more than MAX_PIXELS, or is an array of another shape or type.
    """
    if isinstance(image, np.ndarray):
        check_pixels(image, "height, width, 3")
        return image
    return decode_rgb(image, max_pixels=MAX_PIXELS)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode uint8 (height, width, 3) or, as grey, (height, width)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def encode_output(output: NDArray[Any]) -> tuple[bytes, str]:
    """Encode the output for one image: one value per pixel as PNG, anything else as JSON.

    Out: the bytes and their media type.
    """
    if output.dtype == np.uint8 and output.ndim == 2:  # noqa: PLR2004  height and width
        return encode_png(output), "image/png"
    return json.dumps(output.tolist()).encode(), "application/json"
