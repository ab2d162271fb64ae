"""What is too large is refused by its header; what decodes takes no more memory than it must."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from decode_kit import encode
from PIL import Image

from bench.bombs import scan_bomb, wide_png
from pixels import MAX_PIXELS, ImageError, decode_rgb
from pixels.colour import STRIP_PIXELS
from pixels.limits import MAX_SCANS, MAX_SIDE, DecodeLimits


@pytest.mark.parametrize("size", [(MAX_SIDE + 1, 1), (1, MAX_SIDE + 1), (300_000, 16)])
def test_long_sides_are_refused_before_decoding(size: tuple[int, int], tmp_path: Path) -> None:
    content = wide_png(*size)
    cut = content[:60]  # the header alone: nothing after it is read
    for source in (content, cut):
        with pytest.raises(ImageError) as caught:
            decode_rgb(source)
        assert caught.value.reason == f"too large: {size[0]}x{size[1]} pixels; a side may have at most 32,768"
    path = tmp_path / "wide.png"
    path.write_bytes(cut)
    with pytest.raises(ImageError, match=r"wide\.png: too large"):
        decode_rgb(path)


def test_the_longest_side_is_decoded() -> None:
    assert decode_rgb(wide_png(MAX_SIDE, 2)).shape == (2, MAX_SIDE, 3)


def test_an_image_for_training_has_a_limit_of_its_own() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    with pytest.raises(ImageError, match="at most 100,000,000 are decoded"):
        decode_rgb(file.getvalue()[:60])


def test_jpeg_files_of_many_scans_are_refused_at_once(tmp_path: Path) -> None:
    bomb = scan_bomb(2000, 5000)
    path = tmp_path / "scans.jpg"
    path.write_bytes(bomb)
    start = time.process_time()
    for source in (bomb, path):
        with pytest.raises(ImageError, match=r"a JPEG file of 5,006 scans; at most 100 are decoded"):
            decode_rgb(source)
    assert time.process_time() - start < 0.5  # decoding would take 3 s
    assert decode_rgb(scan_bomb(16, MAX_SCANS - 6)).shape == (16, 16, 3)
    with pytest.raises(ImageError, match="101 scans"):
        decode_rgb(scan_bomb(16, MAX_SCANS - 5))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_strips_join_without_a_seam(mode: str, orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    if mode == "I;16":
        image = Image.fromarray(random.integers(0, 65536, (37, 23), dtype=np.uint16))
    else:
        image = Image.fromarray(random.integers(0, 256, (37, 23, 4), dtype=np.uint8), "RGBA")
        image = image if mode == "RGBA" else image.convert("RGB").convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(image, "TIFF" if mode == "CMYK" else "PNG", exif=exif)
    whole = decode_rgb(content)
    monkeypatch.setattr("pixels.colour.STRIP_PIXELS", 100)
    assert (decode_rgb(content) == whole).all()
    assert STRIP_PIXELS > 37 * 23


@pytest.mark.parametrize("name", ["max_pixels", "cpu_s", "wall_s", "memory_bytes"])
def test_a_limit_is_more_than_nothing(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: found 0; expected more than 0"):
        DecodeLimits(**{name: 0})  # type: ignore[arg-type]
