"""Predictor: images in, named answers out. Needs onnxruntime, numpy and pillow; never torch."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast, overload

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from pixels import ImageError, decode_rgb
from serve.artifact import (
    CHANNELS,
    INPUT_NAME,
    ArtifactError,
    find_artifact,
    open_artifact,
)

ImageLike: TypeAlias = str | Path | bytes | Image.Image | NDArray[np.uint8]
Answer: TypeAlias = list[tuple[str, float]]

MAX_BATCH = 32
MAX_UPLOAD_PIXELS = 50_000_000
"""Of a picture that somebody sends; decoding it and answering take up to 0.8 GB."""


class Predictor:
    """An exported model, ready to answer. Safe to call from several threads.

    `path` is a model.onnx or the folder of a run; `threads` is how many one call may use, by default every
    core that this process may run on.

    Raises: ArtifactError for a file that is missing, damaged or not Graft's.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.path = find_artifact(path)
        self._session, self.metadata = open_artifact(self.path, session_options(threads))

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities' columns and the mask's numbers."""
        return self.metadata.labels

    @overload
    def __call__(self, image: list[ImageLike]) -> list[Answer]: ...
    @overload
    def __call__(self, image: ImageLike) -> Answer: ...
    def __call__(self, image: ImageLike | list[ImageLike]) -> Answer | list[Answer]:
        """Every class with its probability, best first; for a list of images, one such answer an image.

        A segmentation model gives each class's share of the pixels in place of a probability.
        In: a path, encoded bytes, a PIL image, or RGB pixels as uint8 (height, width, 3).
        Raises: ImageError for what is no image, and for one that is too large for the memory there is.
        """
        if not isinstance(image, list):
            return self([image])[0]
        chunks = (image[start : start + MAX_BATCH] for start in range(0, len(image), MAX_BATCH))
        return [answer for chunk in chunks for answer in self._answer(chunk)]

    def _answer(self, images: list[ImageLike]) -> list[Answer]:
        """The answers for so many images that all may be in memory at once."""
        answers: dict[int, Answer] = {}
        for indices, batch in batch_by_size([read_image(one) for one in images]):
            scores = SCORES[self.metadata.task](self._run(batch), len(self.labels))
            for index, row in zip(indices, scores, strict=True):
                answers[index] = rank(self.labels, row)
        return [answers[index] for index in range(len(images))]

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """In: uint8 (batch, height, width, 3), RGB. Out: float32 (batch, classes); each row sums to 1.

        Raises: ArtifactError for a segmentation model; ImageError for another shape or type.
        """
        self._require("classification", "predictor(image) or .mask(image)")
        return cast(NDArray[np.float32], self._run(images))

    def mask(self, image: ImageLike) -> NDArray[np.uint8]:
        """The class of every pixel. Out: uint8 (height, width), numbers that index `labels`.

        Raises: ArtifactError for a classification model; ImageError for what is no image.
        """
        self._require("segmentation", "predictor(image) or .probabilities(images)")
        return cast(NDArray[np.uint8], self._run(read_image(image)[None])[0])

    def _require(self, task: str, instead: str) -> None:
        if self.metadata.task != task:
            raise ArtifactError(f"{self.path}: a {self.metadata.task} model; ask it with {instead}")

    def _run(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        _check_pixels(images, "batch, height, width, 3")
        try:
            output = self._session.run(None, {INPUT_NAME: np.ascontiguousarray(images)})[0]
        except Exception as error:  # onnxruntime raises a class of its own for each kind of failure
            count, height, width = images.shape[:3]
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ImageError(
                f"the model has no answer for {count} of {width}x{height} pixels, which may be more than the "
                f"memory here holds ({reason})"
            ) from error
        return cast(NDArray[Any], output)


def pixel_shares(masks: NDArray[np.uint8], classes: int) -> NDArray[np.float32]:
    """In: (batch, height, width). Out: (batch, classes), the share of the pixels that each class has."""
    counts = [np.bincount(mask.ravel(), minlength=classes) / mask.size for mask in masks]
    return np.asarray(counts, np.float32)


SCORES: Mapping[str, Callable[[NDArray[Any], int], NDArray[np.float32]]] = {
    "classification": lambda probabilities, _classes: probabilities,
    "segmentation": pixel_shares,
}
"""By task: what the artifact gives for a batch, as one number a class and image."""


def session_options(threads: int | None = None) -> ort.SessionOptions:
    """onnxruntime's options for answering on a plain CPU, one image or a small batch at a time."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    # The arena would keep the memory of the largest picture for good; without it answers are as fast.
    options.enable_cpu_mem_arena = False
    # Without it, waiting threads spin, which robs the other work of a small machine or of a server.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def usable_cores() -> int:
    """The cores this process may run on; fewer than the machine's in a container or under taskset."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_image(image: ImageLike) -> NDArray[np.uint8]:
    """RGB pixels, uint8 (height, width, 3).

    Raises: ImageError for what is no image, or an array of another shape or type.
    """
    if isinstance(image, np.ndarray):
        _check_pixels(image, "height, width, 3")
        return image
    return decode_rgb(image)


def batch_by_size(
    images: Sequence[NDArray[np.uint8]], limit: int = MAX_BATCH
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Batches of equal-sized images: their places in `images`, and uint8 (batch, height, width, 3)."""
    places: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, image in enumerate(images):
        places[image.shape].append(place)
    for same in places.values():
        for start in range(0, len(same), limit):
            chosen = same[start : start + limit]
            yield chosen, np.stack([images[place] for place in chosen])


def rank(labels: Sequence[str], probabilities: NDArray[np.float32]) -> Answer:
    """In: (classes,). Out: every label with its probability, best first; equals keep the labels' order."""
    order = np.argsort(-probabilities, kind="stable")
    return [(labels[index], float(probabilities[index])) for index in order]


def _check_pixels(images: NDArray[np.uint8], axes: str) -> None:
    fits = images.ndim == len(axes.split(",")) and images.shape[-1] == CHANNELS
    if not (fits and images.dtype == np.uint8 and images.size > 0):
        raise ImageError(f"expected pixels as uint8 ({axes}), got {images.dtype} {images.shape}")
