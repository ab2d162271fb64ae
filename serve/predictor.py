"""Predictor: images in any form to named answers. Needs onnxruntime, numpy and pillow; never torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from numpy.typing import NDArray

from serve.codec import ImageLike, read_image
from serve.model import Model, ModelOutput, batch_by_size
from serve.tasks import Answer

SOME, MANY = 1, 6
"""Sets of more than the first and at most the second number of classes are worth a sentence."""


@dataclass(frozen=True)
class Prediction:
    """What a model says about one image.

    `answer` is every class with its probability (or share of the pixels), best first, and `output` the
    model's own output. `unknown` is how unlike the training images the image is, `unlike` whether that is
    more than the file's threshold. `likely` are the classes that hold the right one in the share of cases
    that the metadata promises. A file that does not say gives None, False and ().
    """

    output: NDArray[Any]
    answer: Answer
    unknown: float | None = None
    unlike: bool = False
    likely: tuple[str, ...] = ()


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

    def notes(self, found: Prediction) -> tuple[str, ...]:
        """Return what a person should know about an answer, in sentences; often nothing."""
        notes: tuple[str, ...] = ()
        if found.unlike:
            notes = ("This photo is unlike the training photos.",)
        sets, several = self.metadata.sets, found.likely
        if sets is not None and SOME < len(several) <= MANY:
            names = f"{', '.join(several[:-1])} or {several[-1]}"
            notes += (f"Not certain: {names} (right for {sets.level:.0%} of photos).",)
        return notes

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
        if isinstance(image, list):
            return [found.answer for found in self.predict(image)]
        return self.predict(image).answer

    @overload
    def predict(self, image: list[ImageLike]) -> list[Prediction]: ...
    @overload
    def predict(self, image: ImageLike) -> Prediction: ...
    def predict(self, image: ImageLike | list[ImageLike]) -> Prediction | list[Prediction]:
        """Return the answer with what the model knows about it; for a list of images, a list of these.

        In and raises: as a call.
        """
        if not isinstance(image, list):
            return self.predict([image])[0]
        found: dict[int, Prediction] = {}
        for positions, batch in batch_by_size(map(read_image, image)):
            found |= dict(zip(positions, self.describe(self.model(batch)), strict=True))
        return [found[position] for position in range(len(image))]

    def describe(self, output: ModelOutput) -> list[Prediction]:
        """Return a prediction for each image of a batch that the model answered."""
        scores = [None] * len(output.answers) if output.unknown is None else output.unknown.tolist()
        return [self._describe(answers, score) for answers, score in zip(output.answers, scores, strict=True)]

    def _describe(self, output: NDArray[Any], score: float | None) -> Prediction:
        answer, unknown, sets = (
            self.task.answer(output, self.labels),
            self.metadata.unknown,
            self.metadata.sets,
        )
        likely = () if sets is None else tuple(label for label, value in answer if value >= sets.probability)
        return Prediction(
            output=output,
            answer=answer,
            unknown=score,
            unlike=score is not None and unknown is not None and score > unknown.threshold,
            likely=() if sets is None else likely or (answer[0][0],),
        )

    def output(self, image: ImageLike) -> NDArray[Any]:
        """Return the model's own output for one image.

        Out: float32 (classes,) of a classification model; uint8 (height, width) of a segmentation model.
        Raises: ImageError if it is no image, or too large for the memory.
        """
        return self.predict(image).output
