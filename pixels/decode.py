"""Decode bytes or a file to RGB pixels."""

from __future__ import annotations

import contextlib
import io
import re
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from pixels.colour import convert_rgb, white_value
from pixels.errors import ImageError

pillow_heif.register_heif_opener()  # Pillow itself reads AVIF, but not HEIC

Source: TypeAlias = bytes | str | Path | Image.Image

# Pillow has decoders for many more formats. Some start other programs, which an upload must not do.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF", "AVIF")
FORMAT_NAMES = "JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC or AVIF"
MAX_PIXELS = 178_956_970  # Pillow's own limit: half a GiB once decoded

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

PNG_START, PNG_DEPTH, DEEP = b"\x89PNG\r\n\x1a\n", 24, 16  # the byte that holds the depth in bits

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

_IGNORE_PILLOW = ("ignore", None, Warning, re.compile("PIL"), 0)
_lock = threading.Lock()
_decoding = 0


def decode_rgb(source: Source, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode one image: upright by its EXIF orientation, transparency on white, first frame.

    Out: uint8 (height, width, 3), RGB, C-contiguous and writable.
    Raises: ImageError if it is no image, is truncated or damaged, or has more than `max_pixels`.
    """
    name = str(source) if isinstance(source, str | Path) else None
    try:
        with ignore_pillow_warnings():
            if isinstance(source, Image.Image):
                return _decode(source, max_pixels)
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(file, formats=FORMATS) as image:
                return _decode(image, max_pixels)
    except ImageError as error:
        raise ImageError(error.reason, name) from None
    except Exception as error:  # Pillow's plugins raise errors of any class on a damaged file
        raise ImageError(_reason(error, source), name) from error


def _decode(image: Image.Image, max_pixels: int) -> NDArray[np.uint8]:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"too large: {width}x{height} pixels; at most {max_pixels:,} are decoded")
    if width * height == 0:
        raise ImageError(f"empty image: {width}x{height} pixels")
    image.load()
    turn = TURNS.get(_orientation(image))
    rgb = convert_rgb(image)
    return np.array(rgb if turn is None else rgb.transpose(turn), np.uint8)


def read_orientation(content: bytes) -> int:
    """Return the EXIF orientation, 1 to 8, that `decode_rgb` corrects; 1 if there is none."""
    with ignore_pillow_warnings(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return _orientation(image)


def read_deep_max(content: bytes) -> int | None:
    """Return the largest stored value of an image of 16 bits per channel; None for other images.

    Files of 10, 12 or 14 bits are often stored in 16, of which white is then a small part. Of colour in PNG
    files only the upper 8 bits are seen: the lower ones count as set.
    """
    is_png, is_tiff = content.startswith(PNG_START), content.startswith(TIFF_STARTS)
    if not is_tiff and not (is_png and content[PNG_DEPTH] == DEEP):
        return None
    with ignore_pillow_warnings(), Image.open(io.BytesIO(content), formats=("PNG", "TIFF")) as image:
        if image.mode.startswith("I"):
            return int(np.asarray(image).max()) if white_value(image) == 2**DEEP - 1 else None
        return None if is_tiff else int(np.asarray(image).max()) * 256 + 255


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged metadata leaves the pixels as they are
        return 1


def _reason(error: Exception, source: Source) -> str:
    if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
        return f"cannot be read: {error.strerror}"
    if isinstance(error, UnidentifiedImageError):
        return _describe_unidentified(source)
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: {error}"
    message = str(error) or type(error).__name__
    truncated = isinstance(error, EOFError) or "truncated" in message.lower()
    return f"{'truncated' if truncated else 'damaged'} image ({message})"


def _describe_unidentified(source: Source) -> str:
    start = b""
    if isinstance(source, bytes):
        start = source[:12]
    elif isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            start = file.read(12)
    if not start:
        return "empty file"
    if start.startswith(TIFF_STARTS):
        return "a TIFF file whose bands, depth or compression are not supported; save it as 8-bit RGB"
    return f"not a {FORMAT_NAMES} image: it starts with {start!r}"


@contextlib.contextmanager
def ignore_pillow_warnings() -> Iterator[None]:
    """Ignore warnings raised in Pillow (large images, unusual metadata), also in several threads at once.

    `warnings.catch_warnings` replaces a global of the process, so threads must not use it at the same time.
    """
    global _decoding  # noqa: PLW0603  the filters belong to the process, so their users are counted
    filters = cast("list[object]", warnings.filters)
    with _lock:
        _decoding += 1
        if _IGNORE_PILLOW not in filters:
            filters.insert(0, _IGNORE_PILLOW)
    try:
        yield
    finally:
        with _lock:
            _decoding -= 1
            if _decoding == 0 and _IGNORE_PILLOW in filters:
                filters.remove(_IGNORE_PILLOW)
