"""Batches of images, and what importing onnxruntime does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from digits_kit import DigitsModel
from numpy.typing import NDArray

from serve.model import batch_by_size

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("limits", "lengths"),
    [((2, 1000), [1, 1, 1, 1, 1, 1, 1, 1, 1]), ((4, 1000), [2, 2, 2, 2, 1]), ((9, 16), [2, 1, 2, 1, 2, 1])],
)
def test_batches_are_bounded_and_cover_every_image(limits: tuple[int, int], lengths: list[int]) -> None:
    images = [np.full((2 + index % 2, 2, 3), index, np.uint8) for index in range(9)]
    batches = list(batch_by_size(images, *limits))
    assert [len(batch) for _, batch in batches] == lengths
    assert sorted(position for positions, _ in batches for position in positions) == list(range(9))
    for positions, batch in batches:
        assert batch.shape[0] * batch.shape[1] * batch.shape[2] <= limits[1]
        assert all((one == images[position]).all() for position, one in zip(positions, batch, strict=True))


def test_images_are_read_as_they_are_needed() -> None:
    read = []

    def images() -> Iterator[NDArray[np.uint8]]:
        for number in range(4):
            read.append(number)
            yield np.zeros((8, 8, 3), np.uint8)

    batches = batch_by_size(images(), max_pixels=100)
    next(batches)
    assert read == [0, 1]  # the second did not fit beside the first


def test_onnxruntime_sends_and_writes_nothing(tmp_path: Path, digits_model: DigitsModel) -> None:
    """Without telemetry, no device id is in the home folder, and no other thread could look up a name."""
    code = f"import os; from serve import Predictor; Predictor({str(digits_model.path)!r}, threads=1)\n"
    code += "import threading\n"
    code += "ours = {str(each.native_id) for each in threading.enumerate()}\n"
    code += "print(os.environ['ORT_DISABLE_TELEMETRY'], *set(os.listdir('/proc/self/task')) - ours)"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == "1\n"
    assert not list(tmp_path.rglob("*"))
