"""Images of strangers: the same pixels as in this process, and a limit ends one process only."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from decode_kit import encode, gradient
from PIL import Image

from bench.bombs import large_jpeg, wide_png
from pixels import ImageError, decode_rgb
from pixels.decode_process import DecodeProcess, OverLimitError
from pixels.errors import BusyError, TooManyPixelsError
from pixels.limits import DecodeLimits
from pixels.pool import Decoder

LARGE = large_jpeg(4800, 4800)
GOOD = encode(Image.fromarray(gradient()), "PNG")


@contextlib.contextmanager
def process_with(**limits: float) -> Iterator[DecodeProcess]:
    process = DecodeProcess(DecodeLimits(**limits))  # type: ignore[arg-type]
    try:
        yield process
    finally:
        process.close()


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.close()


def test_the_same_pixels_and_messages_as_in_this_process(decoder: Decoder) -> None:
    for content in (GOOD, encode(Image.fromarray(gradient(60, 90)), "JPEG")):
        with decoder.decoded(content) as pixels:
            assert (pixels == decode_rgb(content)).all()
            assert pixels.flags.writeable
    for content in (b"", b"milk, eggs", GOOD[:-30], wide_png(100_000, 5), GOOD[:20]):
        with pytest.raises(ImageError) as here:
            decode_rgb(content)
        with pytest.raises(ImageError) as there, decoder.decoded(content):
            pass
        assert there.value.reason == here.value.reason


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"cpu_s": 0.3}, "takes over 0.3 s of processor time to decode"),
        ({"wall_s": 0.2}, "takes over 0.2 s to decode"),
        ({"memory_bytes": 50_000_000}, "takes over 0.1 GB of memory to decode"),
    ],
)
def test_a_limit_ends_one_image_and_no_other(limits: dict[str, float], reason: str) -> None:
    with process_with(**limits) as process:
        if "wall_s" in limits:
            with contextlib.suppress(OverLimitError):  # starting counts as well
                process.decode(GOOD)
            time.sleep(0.5)
        with pytest.raises(OverLimitError) as caught:
            process.decode(LARGE)
        assert caught.value.reason == reason
        if "wall_s" in limits:
            time.sleep(1)
        assert process.decode(GOOD).shape == (12, 20, 3)


def test_a_decoder_that_crashes_is_replaced() -> None:
    with process_with() as process:
        process.decode(GOOD)
        assert process._process is not None
        os.kill(process._process.pid, signal.SIGSEGV)
        process._process.wait()
        assert process.decode(GOOD).shape == (12, 20, 3)


def test_too_many_pixels_go_to_the_large_images(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    with process_with(max_pixels=239) as process, pytest.raises(TooManyPixelsError, match="at most 239"):
        process.decode(GOOD)
    monkeypatch.setattr("pixels.pool.SMALL_PIXELS", 239)
    large = Decoder()
    with large.decoded(GOOD) as pixels:
        assert pixels.shape == (12, 20, 3)
    large.close()


def test_a_full_queue_of_large_images_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixels.pool.SMALL_PIXELS", 1)
    monkeypatch.setattr("pixels.pool.LARGE_WAITING", 0)
    decoder = Decoder()
    with decoder.decoded(GOOD):
        start = time.monotonic()
        with pytest.raises(BusyError), decoder.decoded(GOOD):
            pass
        assert time.monotonic() - start < 2
    with decoder.decoded(GOOD):  # its turn has come
        pass
    decoder.close()


def test_closing_ends_what_is_decoded(decoder: Decoder) -> None:
    decoder.start()
    timer = threading.Timer(0.3, decoder.close)
    timer.start()
    with pytest.raises(BusyError), decoder.decoded(LARGE):
        pass
    timer.join()
    with pytest.raises(BusyError), decoder.decoded(GOOD):
        pass


def test_the_process_imports_little() -> None:
    """It starts in a fraction of a second and holds little memory."""
    code = "import sys; import pixels.worker; print(*sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert not set(done.stdout.split()) & {
        "torch",
        "onnxruntime",
        "serve",
        "finetune",
        "zoo",
        "typer",
        "rich",
    }
