"""Every kind of file becomes the pixels that a person sees."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from decode_kit import encode, gradient
from PIL import Image, ImageOps, TiffImagePlugin

from pixels import ImageError, decode_rgb, read_deep_max

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_give_the_same_pixels(file_format: str) -> None:
    pixels = gradient()
    decoded = decode_rgb(encode(Image.fromarray(pixels), file_format))
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    assert decoded.flags.writeable
    np.testing.assert_array_equal(decoded, pixels)


def test_lossless_webp_gives_the_same_pixels() -> None:
    pixels = gradient()
    np.testing.assert_array_equal(decode_rgb(encode(Image.fromarray(pixels), "WEBP", lossless=True)), pixels)


def test_jpeg_is_near() -> None:
    pixels = gradient(48, 64)
    decoded = decode_rgb(encode(Image.fromarray(pixels), "JPEG", quality=95, subsampling=0))
    assert (
        np.abs(decoded.astype(int) - pixels).max() <= 8
    )  # JPEG at this quality; a swapped channel is 200 off


@pytest.mark.parametrize("kind", [str, Path, "bytes", "image"])
def test_every_kind_of_source(kind: object, tmp_path: Path) -> None:
    path = tmp_path / "a b é.png"
    Image.fromarray(gradient()).save(path)
    sources: dict[object, bytes | str | Path | Image.Image] = {
        str: str(path),
        Path: path,
        "bytes": path.read_bytes(),
        "image": Image.fromarray(gradient()),
    }
    np.testing.assert_array_equal(decode_rgb(sources[kind]), gradient())


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(file_format: str, orientation: int) -> None:
    image = Image.fromarray(gradient(32, 48))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(file_format, {})
    data = encode(image, file_format, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    decoded = decode_rgb(data)
    assert decoded.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))
    np.testing.assert_array_equal(decoded, np.asarray(upright))
    # and by the standard itself: where the stored image's first pixel (0, 0) has to land
    top, left = orientation in (1, 2, 5, 6), orientation in (1, 4, 5, 8)
    corner = decoded[0 if top else -1, 0 if left else -1].astype(int)
    assert np.abs(corner - gradient(32, 48)[0, 0]).max() <= 24


TIFF_HEADER = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01"


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\x00\x00garbage",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        b"Exif\x00\x00",
        TIFF_HEADER + b"\x01\x12\x00",  # cut short: Pillow warns
        TIFF_HEADER + b"\x01\x12\x00\x01\x00\x00\x00\x01;\x06\x00\x00\x00\x00\x00",  # an orientation of ';'
    ],
)
def test_damaged_exif_leaves_the_pixels_alone(exif: bytes) -> None:
    data = encode(Image.fromarray(gradient()), "JPEG", exif=exif)
    assert decode_rgb(data).shape == (12, 20, 3)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(gradient()), "PNG", exif=exif)
    np.testing.assert_array_equal(decode_rgb(data), gradient())


def test_grey_and_bilevel() -> None:
    grey = np.arange(240, dtype=np.uint8).reshape(12, 20)
    np.testing.assert_array_equal(decode_rgb(encode(Image.fromarray(grey), "PNG")), np.dstack([grey] * 3))
    bilevel = Image.fromarray(grey).point(lambda v: 255 if v > 100 else 0).convert("1")
    np.testing.assert_array_equal(
        decode_rgb(encode(bilevel, "TIFF")), np.dstack([np.where(grey > 100, 255, 0)] * 3)
    )


def test_palette() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    for file_format in ("PNG", "BMP", "GIF", "TIFF"):
        assert decode_rgb(encode(image, file_format)).tolist() == [[list(RED), list(BLUE)]]


def test_transparent_palette_entry_is_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    for file_format in ("PNG", "GIF"):
        data = encode(image, file_format, transparency=0)
        assert decode_rgb(data).tolist() == [[list(WHITE), list(BLUE)]]
    half = encode(image, "PNG", transparency=bytes([128, 255]))
    assert decode_rgb(half).tolist() == [[[255, 127, 127], list(BLUE)]]


def test_alpha_lands_on_white() -> None:
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    expected = [[list(RED), list(WHITE), [127, 127, 127]]]
    for file_format in ("PNG", "TIFF"):
        assert decode_rgb(encode(Image.fromarray(pixels), file_format)).tolist() == expected
    webp = encode(Image.fromarray(pixels), "WEBP", lossless=True, exact=True)
    assert decode_rgb(webp).tolist() == expected


def test_grey_with_alpha_lands_on_white() -> None:
    pixels = np.array([[[0, 255], [0, 0], [0, 128]]], np.uint8)
    image = Image.fromarray(pixels)
    assert image.mode == "LA"
    assert decode_rgb(encode(image, "PNG")).tolist() == [[[0] * 3, [255] * 3, [127] * 3]]


@pytest.mark.parametrize("mode", ["RGBa", "La", "PA", "RGBX", "YCbCr", "HSV", "CMYK"])
def test_modes_that_only_live_in_memory(mode: str) -> None:
    via = {"La": "LA", "RGBa": "RGBA", "PA": "P"}.get(mode)
    image = Image.fromarray(np.full((3, 4, 3), 102, np.uint8))
    image = (image.convert(via) if via else image).convert(mode)
    assert np.abs(decode_rgb(image).astype(int) - 102).max() <= 2  # YCbCr and HSV are rounded on their way


def test_transparent_colour_of_a_png() -> None:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), GREEN)
    assert decode_rgb(encode(image, "PNG", transparency=RED)).tolist() == [[list(WHITE), list(GREEN)]]
    grey = Image.new("L", (2, 1), 10)
    grey.putpixel((1, 0), 60)
    assert decode_rgb(encode(grey, "PNG", transparency=10)).tolist() == [[[255] * 3, [60] * 3]]


def test_cmyk_jpeg_and_tiff_have_the_right_colours() -> None:
    inks = {RED: (0, 255, 255, 0), BLUE: (255, 255, 0, 0), WHITE: (0, 0, 0, 0), (0, 0, 0): (0, 0, 0, 255)}
    for rgb, cmyk in inks.items():
        image = Image.new("CMYK", (16, 16), cmyk)
        jpeg = encode(image, "JPEG", quality=95)
        assert b"Adobe" in jpeg  # which is how the file says that its inks are stored inverted
        for data in (jpeg, encode(image, "TIFF")):
            assert np.abs(decode_rgb(data).astype(int) - rgb).max() <= 2


def test_16_bit_grey_is_scaled_and_rounded() -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65407, 65535]], np.uint16)
    expected = [[0, 0, 1, 1, 128, 255, 255]]  # round(v / 257)
    for file_format in ("PNG", "TIFF"):
        decoded = decode_rgb(encode(Image.fromarray(values), file_format))
        assert decoded[..., 0].tolist() == expected
        assert (decoded == decoded[..., :1]).all()


def test_16_bit_transparent_value_is_white() -> None:
    data = encode(Image.fromarray(np.array([[1000, 65535, 0]], np.uint16)), "PNG", transparency=1000)
    assert decode_rgb(data)[..., 0].tolist() == [[255, 255, 0]]


def test_16_bit_tiff_where_white_is_zero() -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[262] = 0
    data = encode(Image.fromarray(np.array([[0, 65535]], np.uint16)), "TIFF", tiffinfo=info)
    assert Image.open(io.BytesIO(data)).tag_v2[262] == 0  # type: ignore[attr-defined]
    assert decode_rgb(data)[..., 0].tolist() == [[255, 0]]


def test_12_bits_reach_white() -> None:
    tags = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    tags += [(278, 3, 1, 1), (279, 4, 1, 3), (273, 4, 1, 8 + 2 + 12 * 9 + 4)]
    entries = b"".join(
        np.array([tag, kind], "<u2").tobytes() + np.array([count, value], "<u4").tobytes()
        for tag, kind, count, value in sorted(tags)
    )
    header = b"II*\x00\x08\x00\x00\x00" + np.array([len(tags)], "<u2").tobytes()
    packed = bytes([0xFF, 0xF8, 0x00])  # 4095 and 2048, 12 bits each
    assert decode_rgb(header + entries + bytes(4) + packed)[..., 0].tolist() == [[255, 128]]


def test_floats_from_0_to_1() -> None:
    data = encode(Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)), "TIFF")
    assert decode_rgb(data)[..., 0].tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("values", [[0.0, 300.0], [-1.0, 0.0], [float("nan"), 1.0]])
def test_floats_of_unknown_range_are_refused(values: list[float]) -> None:
    with pytest.raises(ImageError, match=r"mode F with values from .*; expected 0 to 1"):
        decode_rgb(Image.fromarray(np.array([values], np.float32)))


def test_32_bit_integers_of_unknown_range_are_refused() -> None:
    with pytest.raises(ImageError, match="mode I with values from 0 to 70000; expected 0 to 65535"):
        decode_rgb(Image.fromarray(np.array([[0, 70000]], np.int32)))


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in (RED, GREEN, BLUE)]
    for file_format in ("GIF", "WEBP", "TIFF", "PNG"):
        options = {"lossless": True} if file_format == "WEBP" else {}
        data = encode(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
        assert decode_rgb(data).reshape(-1, 3).tolist() == [list(RED)] * 48


@pytest.mark.parametrize(("file_format", "orientation"), [("HEIF", 1), ("HEIF", 6), ("AVIF", 1), ("AVIF", 6)])
def test_heic_and_avif_are_read_upright(file_format: str, orientation: int) -> None:
    picture = Image.new("RGB", (32, 16), (250, 20, 20))
    picture.paste((20, 20, 250), (16, 0, 32, 16))
    exif = picture.getexif()
    exif[274] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, file_format, exif=exif.tobytes())
    pixels = decode_rgb(buffer.getvalue()).astype(int)
    upright = pixels if orientation == 1 else np.rot90(pixels)  # 6: to be turned clockwise
    assert upright.shape == (16, 32, 3)
    assert np.abs(upright[8, 4] - (250, 20, 20)).max() < 30
    assert np.abs(upright[8, 28] - (20, 20, 250)).max() < 30


@pytest.mark.parametrize("file_format", ["HEIF", "AVIF"])
def test_damaged_heic_and_avif_are_told(file_format: str) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, file_format)
    content = buffer.getvalue()
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(ImageError):
            decode_rgb(content[: int(len(content) * share)])
    with pytest.raises(ImageError, match="too large"):
        decode_rgb(content, max_pixels=1000)


def test_the_largest_value_of_16_bits() -> None:
    grey = io.BytesIO()
    Image.fromarray(np.array([[0, 4095]], np.uint16)).save(grey, "PNG")
    assert read_deep_max(grey.getvalue()) == 4095
    assert read_deep_max(png_16([[(0, 100, 4095)]])) == 4095
    for mode, file_format in (("L", "PNG"), ("RGB", "TIFF"), ("RGB", "JPEG"), ("1", "TIFF"), ("F", "TIFF")):
        buffer = io.BytesIO()
        Image.new(mode, (4, 4)).save(buffer, file_format)
        assert read_deep_max(buffer.getvalue()) is None


def png_16(rows: list[list[tuple[int, int, int]]]) -> bytes:
    """A PNG of 16 bits per channel, which Pillow reads and does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + np.array(row, ">u2").tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
