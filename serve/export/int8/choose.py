"""Which layers become int8: as many as possible while the file stays as accurate, if it is then faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from serve.artifact import INPUT
from serve.export.accuracy import MOST_LOST, Pixels, score
from serve.export.int8.quantize import Quantizer
from serve.model import open_session, session_options

LEAST_FASTER = 1.2
"""How many times as fast as the float file it must be."""
FLOAT_SHARES = (0.0, 0.1, 0.2, 0.35)
"""Shares of the layers that are left in float in turn, beside the head."""
PROBED_IMAGES = 16
TURNS = 25


@dataclass(frozen=True)
class Choice:
    """An int8 version of a file: the accuracy of both, how many times as fast it is, layers left in float.

    `unlike` is the share of the images that it takes for unlike the training images; None if it does not say.
    """

    model: onnx.ModelProto
    accuracy: float
    float_accuracy: float
    faster: float
    float_layers: int
    layers: int
    unlike: float | None

    @property
    def kept(self) -> bool:
        """Whether it is worth keeping."""
        return self.faster >= LEAST_FASTER and self.accuracy >= self.float_accuracy - MOST_LOST


def choose_int8(
    quantizer: Quantizer,
    model: bytes,
    read: Callable[[], Iterable[Pixels]],
    targets: NDArray[np.int64],
    threshold: float | None,
) -> Choice:
    """Return the first version that is worth keeping, else the most accurate of those tried.

    In: the float file; a function that gives the images whose classes are `targets` (N,); above `threshold`,
    the output `unknown` calls an image unlike the training images. A version that is not faster ends the
    search, since those with more layers in float are slower still.
    """
    plain = open_session(model, session_options(1))
    probed = list(islice(read(), PROBED_IMAGES))
    expected, _ = score(plain, read(), targets, threshold)
    body, tried, order = quantizer.layers[:-1], list[Choice](), list[str]()
    for share in FLOAT_SHARES:
        count = round(share * len(body))
        if count and not order:
            order = _by_harm(quantizer, plain, probed)
        made = quantizer.without({*order[:count], quantizer.layers[-1]})
        session = open_session(made.SerializeToString(), session_options(1))
        accuracy, unlike = score(session, read(), targets, threshold)
        faster = measure_speed(plain, session, probed[:1])
        tried.append(Choice(made, accuracy, expected, faster, count + 1, len(quantizer.layers), unlike))
        if tried[-1].kept or faster < LEAST_FASTER:
            break
    return tried[-1] if tried[-1].kept else max(tried, key=lambda choice: choice.accuracy)


def _by_harm(quantizer: Quantizer, plain: ort.InferenceSession, images: list[Pixels]) -> list[str]:
    """Return the layers but the head, first the one that changes the answers most if it alone is int8."""
    expected, harm = _answers(plain, images), {}
    for name in quantizer.layers[:-1]:
        session = open_session(quantizer.only([name]).SerializeToString(), session_options(1))
        harm[name] = float(np.abs(_answers(session, images) - expected).sum())
    return sorted(harm, key=lambda name: -harm[name])


def measure_speed(plain: ort.InferenceSession, other: ort.InferenceSession, images: list[Pixels]) -> float:
    """Return how many times as fast the other session answers for a batch, in processor time, in turns."""
    batch, seconds = np.stack(images), {plain: list[float](), other: list[float]()}
    for _ in range(TURNS):
        for session, times in seconds.items():
            start = time.thread_time()
            session.run(None, {INPUT.name: batch})
            times.append(time.thread_time() - start)
    return float(np.median(seconds[plain]) / np.median(seconds[other]))


def _answers(session: ort.InferenceSession, images: Iterable[Pixels]) -> NDArray[np.float32]:
    return np.concatenate([session.run(None, {INPUT.name: image[None]})[0] for image in images])
