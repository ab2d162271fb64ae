"""What is damaged, too large or no image at all is refused by one kind of error, and nothing warns."""

import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from decode_kit import encode, gradient
from PIL import Image

from pixels import ImageError, decode_rgb

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_files_are_found(file_format: str, share: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), file_format)
    path = tmp_path / f"cut.{file_format.lower()}"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError) as caught:
        decode_rgb(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.reason.startswith(("truncated image", "damaged image", "not a JPEG"))
    assert caught.value.name == str(path)


def test_a_truncated_jpeg_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(encode(Image.fromarray(gradient(64, 64)), "JPEG")[:-300])
    with pytest.raises(ImageError, match=r"cut\.jpg: truncated image \(image file is truncated"):
        decode_rgb(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (
            b"not an image\n",
            "not a JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC or AVIF image: it starts with b'not an image'",
        ),
        (
            b"II*\0" + b"\x08\0\0\0" + bytes(40),
            "a TIFF file whose bands, depth or compression are not supported",
        ),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG, PNG"),
    ],
)
def test_what_is_no_image_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "text.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        decode_rgb(str(path))
    assert str(caught.value).startswith(f"{path}: {reason}")
    with pytest.raises(ImageError) as caught:
        decode_rgb(content)
    assert str(caught.value).startswith(reason)


def test_two_pictures_in_a_jpeg_give_the_first() -> None:
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    data = encode(first, "MPO", save_all=True, append_images=[second])
    assert np.abs(decode_rgb(data).astype(int) - RED).max() <= 2


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ImageError("truncated image", "a.jpg")))
    assert (str(error), error.reason, error.name) == ("a.jpg: truncated image", "truncated image", "a.jpg")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no\.jpg: cannot be read: No such file"):
        decode_rgb(tmp_path / "no.jpg")


def test_large_images_are_refused_and_nothing_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.fromarray(gradient()), "PNG")
    with pytest.raises(ImageError, match="too large: 20x12 pixels; at most 200 are decoded"):
        decode_rgb(data, max_pixels=200)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)  # Pillow warns above this, and refuses above twice
    assert decode_rgb(data).shape == (12, 20, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match="too large: Image size"):
        decode_rgb(data)


def test_warnings_are_silenced_across_threads_and_left_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)
    before = list(warnings.filters)
    data, failures = encode(Image.fromarray(gradient()), "PNG"), []

    def decode_many() -> None:
        try:
            for _ in range(50):
                decode_rgb(data)
        except ImageError as error:
            failures.append(error)

    threads = [threading.Thread(target=decode_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(warnings.filters) == before


def test_random_damage_never_raises_anything_else() -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    for file_format in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"):
        good = np.frombuffer(encode(noise, file_format, exif=exif), np.uint8)
        for _ in range(60):
            bad = good.copy()
            bad[rng.integers(0, min(len(bad), 300), 8)] = rng.integers(0, 256, 8)
            try:
                decoded = decode_rgb(bad.tobytes(), max_pixels=1_000_000)
            except ImageError as error:
                assert error.reason
            else:
                assert decoded.shape[2] == 3
