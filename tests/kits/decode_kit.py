"""Images to be encoded and decoded again."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, **options)
    return buffer.getvalue()


def gradient(height: int = 12, width: int = 20) -> NDArray[np.uint8]:
    """Smooth colours, every corner different: survives JPEG, shows every turn."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 127 // (width + height)], -1).astype(
        np.uint8
    )
