"""Predictor: images in any form to named answers. Needs onnxruntime, numpy and pillow; never torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast, overload

from numpy.typing import NDArray

from serve.codec import ImageLike, read_image
from serve.model import Model, batch_by_size
from serve.tasks import Answer


class Predictor:
    """An exported model that answers for images. Safe to call from several threads.

    `path` is a model.onnx or the folder of a run; `threads` is how many threads one call may use, by default
    one for every core that this process may run on. `labels` are in the order of the model's numbers.

    Raises: ArtifactError if the file is missing, damaged or not written by Graft.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.model = Model(path, threads)
        self.path, self.metadata, self.task = self.model.path, self.model.metadata, self.model.task
        self.labels = self.metadata.labels

    @overload
    def __call__(self, image: list[ImageLike]) -> list[Answer]: ...
    @overload
    def __call__(self, image: ImageLike) -> Answer: ...
    def __call__(self, image: ImageLike | list[ImageLike]) -> Answer | list[Answer]:
        """Return every class with its probability, best first; for a list of images, a list of such answers.

        A segmentation model gives each class's share of the pixels instead of a probability.
        In: a path, encoded bytes, a PIL image, or RGB pixels as uint8 (height, width, 3).
        Raises: ImageError if one is no image, or too large for the memory.
        """
        if not isinstance(image, list):
            return self([image])[0]
        answers: dict[int, Answer] = {}
        for positions, batch in batch_by_size(map(read_image, image)):
            for position, output in zip(positions, self.model(batch), strict=True):
                answers[position] = self.task.answer(output, self.labels)
        return [answers[position] for position in range(len(image))]

    def output(self, image: ImageLike) -> NDArray[Any]:
        """Return the model's own output for one image.

        Out: float32 (classes,) of a classification model; uint8 (height, width) of a segmentation model.
        Raises: ImageError if it is no image, or too large for the memory.
        """
        return cast(NDArray[Any], self.model(read_image(image)[None])[0])
