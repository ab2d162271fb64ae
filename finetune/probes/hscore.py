"""The shrinkage H-score: how well features separate classes, relative to the spread of the features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finetune.probes.folds import Targets
from finetune.records.estimate import Estimate

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

GROUPS = 10
MAX_RANK = 512
"""Only this number of principal directions is used; the classes hardly differ along the others."""


def measure_hscore(features: Array, targets: Targets) -> Estimate:
    """Compute the shrinkage H-score divided by the number of classes less one, from 0 to 1.

    In: (N, F) and (N,). The error is a jackknife over groups of images.
    Source: Ibrahim et al. 2021, arXiv:2110.06893, equation 6.
    """
    wide = features.shape[1]
    scores = _principal(features)
    groups = np.random.default_rng(0).permutation(len(targets)) % min(GROUPS, len(targets))
    whole = _score(scores, targets, wide)
    parts = [_score(scores[groups != g], targets[groups != g], wide) for g in range(groups.max() + 1)]
    spread = np.sqrt((len(parts) - 1) * np.var(parts))
    return Estimate(whole, float(spread))


def _score(scores: Matrix, targets: Targets, wide: int) -> float:
    """Compute the score of images (N, r) that were rotated from `wide` features."""
    counts = np.bincount(targets)
    classes = int(np.count_nonzero(counts))
    if classes < 2:  # noqa: PLR2004
        return 0.0
    centred = scores - scores.mean(axis=0)
    means = np.zeros((len(counts), scores.shape[1]))
    np.add.at(means, targets, centred)
    means /= np.maximum(counts, 1)[:, None]
    covariance = centred.T @ centred / len(centred)
    shrinkage, scale = _shrink(centred, covariance, wide)
    shrunk = (1 - shrinkage) * covariance + shrinkage * scale * np.eye(len(covariance))
    least = np.finfo(np.float32).eps * scale + np.finfo(np.float32).tiny  # two images alone have no shrinkage
    shrunk += least * np.eye(len(covariance))
    between = float((means.T * np.linalg.solve(shrunk, means.T) * (counts / len(targets))).sum())
    return float((1 - shrinkage) * between / (classes - 1))


def _shrink(centred: Matrix, covariance: Matrix, wide: int) -> tuple[float, float]:
    """Return the shrinkage of Ledoit and Wolf and the mean variance, as if in all `wide` dimensions."""
    scale = float(np.trace(covariance)) / wide
    square = float((covariance**2).sum())
    noise = (float((centred**2).sum(axis=1) @ (centred**2).sum(axis=1)) / len(centred) - square) / len(
        centred
    )
    distance = square - wide * scale**2
    return (min(noise, distance) / distance if distance > 0 else 0.0), scale


def _principal(features: Array) -> Matrix:
    """Return centred features (N, r), along their principal directions where there are many."""
    centred: Matrix = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    if centred.shape[1] <= MAX_RANK:
        return centred
    rank = min(MAX_RANK, len(centred))
    from sklearn.utils.extmath import randomized_svd

    _, _, axes = randomized_svd(centred.astype(np.float32), rank, n_iter=1, random_state=0)
    scores: Matrix = centred @ axes.T
    return scores
