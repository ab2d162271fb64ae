"""Nearest neighbours among frozen features: how well they name a class, with nothing fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetune.probes.folds import Targets
from finetune.records.estimate import Estimate, Hits, share
from finetune.runtime.threads import one_core_each

NEIGHBOURS = (1, 3, 5, 9, 15)
SOFT = 0.07
"""Temperature of the votes, as in Wu et al. 2018, arXiv:1805.01978."""


@dataclass(frozen=True)
class Neighbours:
    """How the chosen number of neighbours answers, each image left out in turn; `hits` (N,) by image."""

    count: int
    accuracy: Estimate
    hits: Hits


def measure_neighbours(features: NDArray[np.float32], targets: Targets) -> Neighbours:
    """Leave each image out and let its nearest others by cosine vote, for several numbers of neighbours.

    In: (N, F), standardised here, and (N,). The smallest number that does best is kept. The only image of a
    class is not asked.
    """
    counts = np.bincount(targets)
    asked = counts[targets] > 1
    most = min(NEIGHBOURS[-1], len(targets) - 1)
    with one_core_each():
        distances, near = _nearest(features, most)
    votes = np.exp(-distances / SOFT)
    best: tuple[float, int, Hits] | None = None
    for count in [number for number in NEIGHBOURS if number <= most]:
        tally = np.zeros((len(targets), len(counts)))
        for column in range(count):
            np.add.at(tally, (np.arange(len(targets)), targets[near[:, column]]), votes[:, column])
        hits = np.where(asked, tally.argmax(axis=1) == targets, np.nan)
        right = float(np.nansum(hits))
        if best is None or right > best[0]:
            best = (right, count, hits)
    assert best is not None, "two images at least"
    return Neighbours(best[1], share(best[2]), best[2])


def _nearest(features: NDArray[np.float32], most: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Cosine distances (N, most) and rows (N, most) of each image's nearest others, nearest first."""
    spread = features.std(axis=0)
    centred = (features - features.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    size = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(size > 0, size, 1.0)
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=most, algorithm="brute", metric="sqeuclidean").fit(unit)
    distances, near = search.kneighbors()  # of the fitted images themselves: each is left out of its own
    return distances / 2, near
