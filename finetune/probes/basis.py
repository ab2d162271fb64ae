"""Features in coordinates where a linear classifier is fast to fit: standardised and rotated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

MAX_RANK = 1024
"""Beyond this number of directions, those of least spread are left out: the penalty makes them negligible."""
FLAT = 1e-5
"""A feature whose spread is below this share of the largest counts as constant and gets no weight."""
NOISE = 1e-7
"""Directions with less than this share of the first one's energy are rounding errors."""


@dataclass(frozen=True)
class Basis:
    """The features of N images in r uncorrelated directions.

    `scores` (N, r) are the standardised features, rotated; a ridge penalty means the same for both. `energy`
    (r,) holds the sums of squares of the scores, largest first. `directions` (F, r) maps raw features, minus
    their `mean` (F,), to scores.
    """

    scores: NDArray[np.float64]
    energy: NDArray[np.float64]
    directions: NDArray[np.float64]
    mean: NDArray[np.float64]


def find_basis(blocks: Sequence[Array]) -> Basis:
    """Standardise each feature, scale the blocks to equal total spread, and rotate.

    In: one or several (N, F_i) of the same images. Equal spread keeps a wide block from dominating a narrow
    one; the mean spread of a feature is 1 over all blocks.
    """
    raw = np.concatenate(blocks, axis=1)
    mean = raw.mean(axis=0, dtype=np.float64)
    spread = raw.std(axis=0, dtype=np.float64)
    flat = spread <= FLAT * max(spread.max(), np.finfo(np.float32).tiny)
    scale = np.where(flat, 0.0, 1 / np.where(flat, 1.0, spread))
    even = [np.sqrt(raw.shape[1] / len(blocks) / block.shape[1]) for block in blocks]
    scale *= np.repeat(even, [block.shape[1] for block in blocks])
    standard = (raw - mean) * scale
    axes, energy = _axes(standard)
    return Basis(standard @ axes, energy, axes * scale[:, None], mean)


def _axes(standard: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the principal axes (F, r) and the energy along each (r,), largest first; at least one axis."""
    count, features = standard.shape
    if min(count, features) > MAX_RANK:
        from sklearn.utils.extmath import randomized_svd

        _, root, axes = randomized_svd(standard.astype(np.float32), MAX_RANK, n_iter=1, random_state=0)
        return axes.T.astype(np.float64), root.astype(np.float64) ** 2
    tall = features <= count
    energy, vectors = np.linalg.eigh(standard.T @ standard if tall else standard @ standard.T)
    kept = np.flatnonzero(energy > NOISE * energy[-1])[::-1]
    if not len(kept):  # all images are the same
        return np.eye(features, 1), np.zeros(1)
    energy, vectors = energy[kept], vectors[:, kept]
    return vectors if tall else (standard.T @ vectors) / np.sqrt(energy), energy
