"""Images of every format, damaged: decoded to pixels, or refused."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from bench.fuzz.case import ACCEPTED, Case, Kind, WrongError, refused
from bench.fuzz.mutate import damage
from pixels import ImageError, decode_rgb

SIZE = (37, 23)
VARIANTS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("RGB", "JPEG", {}),
    ("RGB", "JPEG", {"progressive": True}),
    ("L", "JPEG", {}),
    ("CMYK", "JPEG", {}),
    ("RGB", "PNG", {}),
    ("RGBA", "PNG", {}),
    ("P", "PNG", {}),
    ("I;16", "PNG", {}),
    ("RGB", "WEBP", {}),
    ("RGBA", "WEBP", {"lossless": True}),
    ("P", "GIF", {}),
    ("P", "GIF", {"save_all": True}),
    ("RGB", "TIFF", {}),
    ("RGB", "TIFF", {"compression": "tiff_lzw"}),
    ("RGB", "TIFF", {"compression": "jpeg"}),
    ("L", "TIFF", {"compression": "tiff_deflate"}),
    ("1", "TIFF", {"compression": "group4"}),
    ("RGB", "BMP", {}),
)
PNG_START, CRC_BYTES = 8, 4


def _prepare(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 4), dtype=np.uint8)
    image = Image.fromarray(noise, "RGBA")
    for number, (mode, kind, options) in enumerate(VARIANTS):
        converted = image.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
        more = {"append_images": [converted.rotate(90)]} if options.get("save_all") else {}
        exif = Image.Exif()
        exif[0x0112] = 6
        with_exif = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP") and mode == "RGB" else {}
        file = io.BytesIO()
        converted.save(file, kind, **options, **more, **with_exif)
        (folder / f"{number:02}.{kind.lower()}").write_bytes(file.getvalue())


def _open(folder: Path) -> Case:
    images = [path.read_bytes() for path in sorted(folder.iterdir())]

    def check(draw: random.Random, _empty: Path) -> str:
        content = draw.choice(images)
        damaged = damage(content, draw)
        if content.startswith(b"\x89PNG") and draw.random() < 0.7:
            damaged = _mend_sums(damaged)
        try:
            pixels = decode_rgb(damaged)
        except ImageError as error:
            return refused(error)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise WrongError(f"pixels of {pixels.dtype} {pixels.shape}")
        return ACCEPTED

    return check


def _mend_sums(content: bytes) -> bytes:
    """Return a PNG whose check sums are right again, so that damage gets further than those."""
    mended, at = bytearray(content[:PNG_START]), PNG_START
    while at + 2 * CRC_BYTES <= len(content):
        length = struct.unpack(">L", content[at : at + 4])[0]
        chunk = content[at + 4 : at + 8 + length]
        mended += content[at : at + 4] + chunk + struct.pack(">L", zlib.crc32(chunk))
        at += 8 + length + CRC_BYTES
    return bytes(mended)


KIND = Kind("images", 5000, _prepare, _open)
