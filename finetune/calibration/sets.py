"""Sets of classes that hold the right one in a given share of cases: split conformal prediction."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.9

Array = NDArray[np.floating]
Targets = NDArray[np.int64]


def find_set_probability(probabilities: Array, targets: Targets, level: float = LEVEL) -> float | None:
    """Return the smallest probability of a class that belongs to an image's set.

    The classes with at least this probability hold the right one in at least `level` of new images like
    these, whatever the network. In: probabilities (N, classes) of images that were not trained on, and their
    targets (N,). Out: None with too few images to say so.
    Source: Sadinle, Lei and Wasserman 2019, arXiv:1609.00451.
    """
    count = len(targets)
    allowed = count - math.ceil((count + 1) * level)  # images whose right class may be left out
    if allowed < 0:
        return None
    right = np.sort(probabilities[np.arange(count), targets])
    return float(right[allowed])


def make_sets(probabilities: Array, least: float) -> NDArray[np.bool_]:
    """Return which classes belong to each image's set, (N, classes); the best class always does."""
    inside: NDArray[np.bool_] = probabilities >= least
    inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
    return inside
