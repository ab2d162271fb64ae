"""The images of folders, and their answers in the order of the files, in little memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixels import SUFFIXES, ImageError, usable_cores
from serve.codec import read_image
from serve.model import batch_by_size
from serve.predictor import Prediction, Predictor

BATCH, BATCH_PIXELS = 8, 2**21
"""Images, and pixels, that are answered at once; larger batches are not faster and take more memory."""
AHEAD = 2
"""Images that each thread decodes before they are needed."""


@dataclass(frozen=True)
class Named:
    """An image file, and the name under which it is answered: its path as given, or within its folder."""

    path: Path
    name: str


@dataclass(frozen=True)
class Found:
    """The images that were found, and the number of other files in the folders."""

    images: tuple[Named, ...]
    others: int


def find_images(paths: Sequence[Path]) -> Found:
    """Return the images of files and folders, the latter with all folders below, in the order of their names.

    Hidden files and folders are left out, as are files without the suffix of an image.
    """
    images, others = [], 0
    for path in paths:
        if not path.is_dir():
            images.append(Named(path, _text(path)))
            continue
        for folder, inside, files in os.walk(path):
            inside[:] = sorted(name for name in inside if not name.startswith("."))
            for name in sorted(files):
                file = Path(folder, name)
                if name.startswith(".") or file.suffix.lower() not in SUFFIXES:
                    others += not name.startswith(".")
                else:
                    images.append(Named(file, _text(file.relative_to(path) if len(paths) == 1 else file)))
    return Found(tuple(images), others)


def answer_images(
    predictor: Predictor, images: Iterable[Named]
) -> Iterator[tuple[Named, Prediction | ImageError]]:
    """Yield each image with its answer, or why there is none, in their order.

    Threads decode the next images while the model answers, and few are held at a time.
    """
    names: list[Named] = []
    done: dict[int, Prediction | ImageError] = {}
    good: list[int] = []  # for each decoded image, its place among all

    def decoded() -> Iterator[NDArray[np.uint8]]:
        for named, pixels in _decode_ahead(images):
            names.append(named)
            if isinstance(pixels, ImageError):
                done[len(names) - 1] = pixels
            else:
                good.append(len(names) - 1)
                yield pixels

    following = 0
    for positions, batch in batch_by_size(decoded(), BATCH, BATCH_PIXELS):
        done |= dict(zip((good[one] for one in positions), _answer(predictor, batch), strict=True))
        while following in done:
            yield names[following], done.pop(following)
            following += 1
    for place in range(following, len(names)):  # files after the last image
        yield names[place], done.pop(place)


def _answer(predictor: Predictor, batch: NDArray[np.uint8]) -> Sequence[Prediction | ImageError]:
    try:
        return predictor.describe(predictor.model(batch))
    except ImageError as error:
        return [error] * len(batch)


def _decode_ahead(images: Iterable[Named]) -> Iterator[tuple[Named, NDArray[np.uint8] | ImageError]]:
    threads = usable_cores()
    waiting: deque[tuple[Named, Future[NDArray[np.uint8] | ImageError]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for named in images:
                waiting.append((named, pool.submit(_decode, named.path)))
                if len(waiting) > threads * AHEAD:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode(path: Path) -> NDArray[np.uint8] | ImageError:
    try:
        return read_image(path)
    except ImageError as error:
        return error


def _text(path: Path) -> str:
    """Return a path as text that can be written, with forward slashes."""
    return os.fsencode(path.as_posix()).decode(errors="replace")
