"""How a file made from model.onnx compares with it: accuracy on images, and what its metadata say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from serve.artifact import INPUT, Metadata
from serve.model import batch_by_size

TASK = "classification"
"""The task whose files are compared by accuracy."""
MOST_LOST = 0.005
"""Accuracy that a smaller or faster file may cost."""

Pixels = NDArray[np.uint8]


def score(
    session: ort.InferenceSession,
    images: Iterable[Pixels],
    targets: NDArray[np.int64],
    threshold: float | None,
) -> tuple[float, float | None]:
    """Return the accuracy, and the share of the images that are unlike the training images."""
    right, unlike = 0, 0
    for positions, batch in batch_by_size(images):
        answers, *unknown = session.run(None, {INPUT.name: batch})
        right += int((answers.argmax(1) == targets[positions]).sum())
        unlike += int((unknown[0] > threshold).sum()) if threshold is not None else 0
    return right / len(targets), None if threshold is None else unlike / len(targets)


def describe_comparison(
    metadata: Metadata, found: Mapping[str, float], images: int, unlike: float | None
) -> Metadata:
    """Return the metadata of the file: those of model.onnx, with the comparison in place of the parity check.

    In: the numbers found on so many images, and the share of these that the file takes for unlike.
    """
    unknown = metadata.unknown
    if unknown is not None and unlike is not None:
        unknown = replace(unknown, kept=1 - unlike)
    return replace(metadata, parity={}, compared={**found, "images": images}, unknown=unknown)
