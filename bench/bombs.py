"""Small files that take much time or memory to decode, for tests and for `bench.load`."""

from __future__ import annotations

import io

from PIL import Image

SCAN, QUANTISED, END = b"\xff\xda", b"\xff\xdb", b"\xff\xd9"


def scan_bomb(side: int, scans: int) -> bytes:
    """Return a progressive JPEG of side x side grey pixels, one of whose passes is repeated.

    The file grows by about 75 bytes for each of `scans`, and decoding by a few milliseconds.
    """
    file = io.BytesIO()
    Image.new("L", (side, side), 128).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    starts = _find_all(content, SCAN)
    passes = [
        content[start:end] for start, end in zip(starts, [*starts[1:], content.index(END)], strict=True)
    ]
    smallest = min(passes[1:], key=len)
    return content[: -len(END)] + smallest * scans + END


def wide_png(width: int, height: int) -> bytes:
    """Return a PNG of one grey, a few kilobytes for millions of pixels."""
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


def large_jpeg(width: int, height: int) -> bytes:
    """Return a progressive JPEG of noise blown up, which takes a second for 25 million pixels."""
    file = io.BytesIO()
    noise = Image.effect_noise((width // 8, height // 8), 60).resize((width, height))
    noise.convert("RGB").save(file, "JPEG", progressive=True, quality=60)
    return file.getvalue()


def _find_all(content: bytes, wanted: bytes) -> list[int]:
    found = [content.find(wanted)]
    while found[-1] >= 0:
        found.append(content.find(wanted, found[-1] + 1))
    return found[:-1]
