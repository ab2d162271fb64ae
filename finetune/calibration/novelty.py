"""Fitting the score of unknown images to the features of training images.

The score was chosen by measurement, which docs/report.md shows: energy and probabilities of the classifier,
distances to class means, neighbours and residuals were compared on images of other data sets.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from finetune.models.novelty import Novelty, equalise

REFERENCE_IMAGES = 500
"""Training images whose features are read; more hardly change the score."""
MAX_DIRECTIONS = 64
SHRINKAGE = 0.01
"""Variance of standardised features that is added to every direction."""
LEAST_STD = 0.01
"""Of the mean deviation: no feature counts as one that varies less."""
CONSTANT_STD = 1e-5
"""Features that vary less on average are the same for all images: rounding alone would tell them apart."""
LEAST_SCALE = 0.1
"""Distance, in standard deviations, below which no image counts as unlike the others."""

Features = NDArray[np.float32]


def fit_distance(reference: Features) -> Novelty:
    """Return the score fitted to the inputs of the head for training images (N, F), without a scale."""
    values = equalise(torch.from_numpy(reference).double()).numpy()
    mean, std = values.mean(0), values.std(0)
    std = np.maximum(std, LEAST_STD * std.mean() if std.mean() > CONSTANT_STD else 1.0)
    standard = (values - mean) / std
    images, features = standard.shape
    _, lengths, directions = np.linalg.svd(standard, full_matrices=False)
    variances = lengths**2 / images
    rank = min(MAX_DIRECTIONS, images - 1, features)
    others = max(variances.sum() - variances[:rank].sum(), 0.0) / max(features - rank, 1)
    return Novelty(
        {
            "mean": torch.from_numpy(mean),
            "std": torch.from_numpy(std),
            "directions": torch.from_numpy(np.ascontiguousarray(directions[:rank].T)),
            "weights": torch.from_numpy(1 / np.sqrt(variances[:rank] + SHRINKAGE)),
            "rest": torch.tensor(1 / math.sqrt(others + SHRINKAGE)),
            "scale": torch.tensor(1.0),
        }
    )


def measure_distances(novelty: Novelty, features: Features) -> Features:
    """Return the score of images, (N,). In: their inputs of the head, (N, F)."""
    with torch.inference_mode():
        found: Features = novelty(torch.from_numpy(features)).numpy()
    return found


def find_scale(distances: Features, kept: float) -> float:
    """Return the distance below which a share `kept` of images is, which were not trained on."""
    scores = np.sort(distances)
    place = min(math.ceil((len(scores) + 1) * kept), len(scores)) - 1
    return max(float(scores[place]) * (1 + 1e-6), LEAST_SCALE)
