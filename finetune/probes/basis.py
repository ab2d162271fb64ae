"""Features in the coordinates in which a linear classifier is quickest to fit: standardised and rotated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

MAX_RANK = 1024
"""Beyond as many directions, those of least spread are left out: the penalty would all but silence them."""
FLAT = 1e-5
"""A feature whose spread is below this share of the largest counts as constant and gets no weight."""
NOISE = 1e-7
"""Directions with less than this share of the first one's energy are rounding errors."""


@dataclass(frozen=True)
class Basis:
    """N images by r directions, and the way back.

    `scores` (N, r) are the standardised features turned so that the directions are uncorrelated; `energy`
    (r,) holds their sums of squares, largest first. A ridge penalty means the same in both. `directions`
    (F, r) leads from the raw features, less their `mean` (F,), to the scores.
    """

    scores: NDArray[np.float64]
    energy: NDArray[np.float64]
    directions: NDArray[np.float64]
    mean: NDArray[np.float64]

    def weight(self, turned: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights for raw features (F, K) from weights for scores (r, K)."""
        return self.directions @ turned


def find_basis(blocks: Sequence[Array]) -> Basis:
    """Standardise each feature, weigh the blocks evenly, and turn.

    In: one or several (N, F_i) of the same images. Several blocks have the same total spread each, so that a
    wide one does not drown a narrow one; the mean feature has the spread 1 over all.
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
    """The principal axes (F, r) and the energy along each (r,), largest first; at least one axis."""
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
