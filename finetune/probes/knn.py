"""Nearest neighbours among frozen features: their accuracy, with nothing fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetune.probes.folds import Targets
from finetune.records.estimate import Correct, Estimate, accuracy_of
from finetune.runtime.threads import one_core_each

NEIGHBOURS = (1, 3, 5, 9, 15)
TEMPERATURE = 0.07
"""Temperature of the votes, as in Wu et al. 2018, arXiv:1805.01978."""


@dataclass(frozen=True)
class Neighbours:
    """The leave-one-out accuracy of `count` neighbours; `correct` (N,) is by image."""

    count: int
    accuracy: Estimate
    correct: Correct


def measure_neighbours(features: NDArray[np.float32], targets: Targets) -> Neighbours:
    """Classify each image by its nearest other images in cosine distance.

    In: (N, F), which is standardised here, and (N,). Of several numbers of neighbours, the smallest with the
    best accuracy is kept. The only image of a class is not asked.
    """
    counts = np.bincount(targets)
    asked = counts[targets] > 1
    most = min(NEIGHBOURS[-1], len(targets) - 1)
    with one_core_each():
        distances, near = _nearest(features, most)
    votes = np.exp(-distances / TEMPERATURE)
    best: tuple[float, int, Correct] | None = None
    for count in [number for number in NEIGHBOURS if number <= most]:
        tally = np.zeros((len(targets), len(counts)))
        for column in range(count):
            np.add.at(tally, (np.arange(len(targets)), targets[near[:, column]]), votes[:, column])
        correct = np.where(asked, tally.argmax(axis=1) == targets, np.nan)
        total = float(np.nansum(correct))
        if best is None or total > best[0]:
            best = (total, count, correct)
    assert best is not None, "there are two images at least"
    return Neighbours(best[1], accuracy_of(best[2]), best[2])


def _nearest(features: NDArray[np.float32], most: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return cosine distances and rows, (N, most) each, of each image's nearest others, nearest first."""
    spread = features.std(axis=0)
    centred = (features - features.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    size = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(size > 0, size, 1.0)
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=most, algorithm="brute", metric="sqeuclidean").fit(unit)
    distances, near = search.kneighbors()  # without arguments, no image is its own neighbour
    return distances / 2, near
