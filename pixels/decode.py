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

from pixels.colour import rgb_strips, white_value
from pixels.errors import ImageError, TooManyPixelsError
from pixels.limits import MAX_PIXELS, MAX_SCANS, MAX_SIDE

pillow_heif.register_heif_opener()  # Pillow itself reads AVIF, but not HEIC

Source: TypeAlias = bytes | str | Path | Image.Image

# Pillow has decoders for many more formats. Some start other programs, which an upload must not do.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF", "AVIF")
FORMAT_NAMES = "JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC or AVIF"
KINDS = "jpg jpeg jpe jfif png webp bmp dib gif tif tiff heic heif hif avif"
SUFFIXES = frozenset(f".{kind}" for kind in KINDS.split())
"""Files of a folder with these suffixes, in any letters, are its images."""
SCAN_START = b"\xff\xda"  # in a JPEG file; compressed pixels never hold these two bytes
CHUNK = 2**20

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

PNG_START, PNG_DEPTH, DEEP = b"\x89PNG\r\n\x1a\n", 24, 16  # the byte that holds the depth in bits

ORIENTATION = int(ExifTags.Base.Orientation)

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
        raise type(error)(error.reason, name) from None
    except Exception as error:  # Pillow's plugins raise errors of any class on a damaged file
        raise ImageError(_reason(error, source), name) from error


def _decode(image: Image.Image, max_pixels: int) -> NDArray[np.uint8]:
    _check_header(image, max_pixels)
    image.load()
    width, height = image.size
    orientation = _orientation(image)
    upright = np.empty((width, height, 3) if orientation in range(5, 9) else (height, width, 3), np.uint8)
    stored = _stored(upright, orientation)
    for rows, strip in rgb_strips(image):
        stored[rows] = np.asarray(strip)
    return upright


def _check_header(image: Image.Image, max_pixels: int) -> None:
    """Raises: ImageError if decoding or resizing would take too much time or memory, or there is no pixel."""
    width, height = image.size
    if width * height == 0:
        raise ImageError(f"empty image: {width}x{height} pixels")
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"too large: {width}x{height} pixels; a side may have at most {MAX_SIDE:,}")
    scans = _count_scans(image)
    if scans > MAX_SCANS:
        raise ImageError(f"a JPEG file of {scans:,} scans; at most {MAX_SCANS} are decoded")
    if width * height > max_pixels:
        raise TooManyPixelsError(f"too large: {width}x{height} pixels; at most {max_pixels:,} are decoded")


def _count_scans(image: Image.Image) -> int:
    """Return the scans of a JPEG file, thumbnails included; 0 for other images."""
    file = getattr(image, "fp", None)
    if file is None or image.format not in ("JPEG", "MPO"):
        return 0
    place, count, last = file.tell(), 0, b""
    file.seek(0)
    while chunk := file.read(CHUNK):
        count += (last + chunk).count(SCAN_START)
        last = chunk[-1:]
    file.seek(place)
    return count


def _stored(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return a view of the upright image whose rows are those of the file, by its EXIF orientation."""
    view = upright.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else upright
    if orientation in (3, 4, 6, 7):
        view = view[::-1]
    return view[:, ::-1] if orientation in (2, 3, 7, 8) else view


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
