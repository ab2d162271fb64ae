"""Bytes or a file to RGB pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from pixels.colour import as_array, convert_rgb
from pixels.errors import ImageError
from pixels.quiet import quiet_pillow

# Pillow has decoders for many more, some of which start other programs: what is uploaded must not.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
FORMAT_NAMES = "JPEG, PNG, WebP, BMP, GIF or TIFF"
MAX_PIXELS = 178_956_970  # where Pillow itself refuses: half a GiB once decoded

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

ORIENTATION = int(ExifTags.Base.Orientation)
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_rgb(
    source: bytes | str | Path | Image.Image, *, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Decode one image as a person sees it: turned upright by its EXIF tag, alpha on white, first frame.

    Out: uint8 (height, width, 3), RGB, C-contiguous and writable.
    Raises: ImageError for what is no image, is truncated or damaged, or has more than `max_pixels`.
    """
    name = str(source) if isinstance(source, str | Path) else None
    try:
        with quiet_pillow():
            if isinstance(source, Image.Image):
                return _decode(source, max_pixels)
            with Image.open(_file(source), formats=FORMATS) as image:
                return _decode(image, max_pixels)
    except ImageError as error:
        raise ImageError(error.reason, name) from None
    except Exception as error:  # on a damaged file, Pillow's plugins raise whatever their parsing trips over
        raise ImageError(_reason(error, source), name) from error


def _file(source: bytes | str | Path) -> io.BytesIO | Path:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source)


def _decode(image: Image.Image, max_pixels: int) -> NDArray[np.uint8]:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"too large: {width}x{height} pixels, at most {max_pixels:,} are decoded")
    if width * height == 0:
        raise ImageError(f"empty image: {width}x{height} pixels")
    image.load()
    turn = TURNS.get(_orientation(image))
    rgb = convert_rgb(image)
    return as_array(rgb if turn is None else rgb.transpose(turn))


def read_orientation(content: bytes) -> int:
    """The EXIF orientation, 1 to 8, that `decode_rgb` turns an encoded image upright by; 1 for none."""
    with quiet_pillow(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return _orientation(image)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none or the metadata is damaged."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # metadata that cannot be read does not make the pixels worse
        return 1


def _reason(error: Exception, source: bytes | str | Path | Image.Image) -> str:
    if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
        return f"cannot be read: {error.strerror}"
    if isinstance(error, UnidentifiedImageError):
        return _describe_unidentified(source)
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: {error}"
    words = str(error) or type(error).__name__
    if isinstance(error, EOFError) or "truncated" in words.lower():
        return f"truncated image ({words})"
    return f"damaged image ({words})"


def _describe_unidentified(source: bytes | str | Path | Image.Image) -> str:
    if isinstance(source, bytes):
        start = source[:12]
    elif isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            start = file.read(12)
    else:
        start = b""
    if not start:
        return "empty file"
    if start.startswith(TIFF_STARTS):
        return "a TIFF file whose bands, depth or compression are not read; save it as 8-bit RGB"
    return f"not a {FORMAT_NAMES} image: it starts with {start!r}"
