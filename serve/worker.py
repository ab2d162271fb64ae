"""The work of requests: images decoded and answered, as many at a time as there are cores, until a deadline.

Images are not put into batches: on processors, that is not faster (docs/serving.md).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pixels import ImageError
from pixels.errors import BusyError
from pixels.limits import LARGE_PROCESSES
from pixels.pool import Decoder
from serve.artifact import CHANNELS
from serve.metrics import Metrics
from serve.model import RUN_S, ModelOutput
from serve.predictor import Prediction
from serve.registry import Served


class Worker:
    """Answers images. Its calls wait for their turn, and are for threads.

    Raises: BusyError where there is no turn before the deadline, by `time.monotonic`, or the answer is late.
    """

    def __init__(self, decoder: Decoder, metrics: Metrics, cores: int) -> None:
        self._decoder, self._metrics = decoder, metrics
        # Requests wait in threads of their own, but models run in the same few, whose memory is in the
        # caches: an image takes 7% less of the processor.
        self._runs = ThreadPoolExecutor(cores + LARGE_PROCESSES, "run")

    def begin(self, model: Served, images: int) -> None:
        """Count a request of so many images."""
        self._metrics.count_images(model.name, images)

    def predict(self, model: Served, content: bytes, deadline: float) -> Prediction:
        """Return the prediction for an encoded image. Raises: also ImageError if it is none."""
        with self._decoder.decoded(content, deadline) as pixels:
            return model.predictor.describe(self._run(model, pixels[None], deadline))[0]

    def run(self, model: Served, images: NDArray[np.uint8], deadline: float) -> Iterator[ModelOutput]:
        """Yield the model's outputs for each image of a batch, uint8 (batch, height, width, 3).

        Raises: also ImageError if the model cannot answer.
        """
        for image in images:
            with self._decoder.place(image.size // CHANNELS, deadline):
                output = self._run(model, image[None], deadline)
            yield output

    def _run(self, model: Served, images: NDArray[np.uint8], deadline: float) -> ModelOutput:
        start = time.monotonic()
        if start >= deadline:
            raise BusyError
        try:
            output = self._runs.submit(model.predictor.model, images, min(RUN_S, deadline - start)).result()
        except ImageError as error:
            if time.monotonic() >= deadline:
                raise BusyError from error
            raise
        self._metrics.count_run(model.name, time.monotonic() - start)
        return output
