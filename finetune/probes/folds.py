"""Stratified folds for cross-validation, and stratified samples of large data sets."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from zoo.errors import GraftError

Targets = NDArray[np.int64]
Rows = NDArray[np.intp]
Fold = tuple[Rows, Rows]
"""Rows to learn from, and rows that are held out."""

FOLDS = 5
ENOUGH_IMAGES = 200
"""Fewer images than this are dealt several times, at most REPEATS times."""
REPEATS = 5


def deal_folds(targets: Targets, *, seed: int = 0, folds: int = FOLDS) -> list[list[Fold]]:
    """Deal the images into stratified folds, several times where they are few. Out: the folds of each repeat.

    In: `targets` (N,). Every fold learns from every class, so the only image of a class is never held out.
    Raises: GraftError when there are fewer than two classes, or no class has two images.
    """
    counts = np.bincount(targets)
    if np.count_nonzero(counts) < 2:  # noqa: PLR2004
        raise GraftError(f"a classifier needs two classes; the images have {np.count_nonzero(counts)}")
    if counts.max() < 2:  # noqa: PLR2004
        raise GraftError(
            "no class has more than one image to learn from, so no image can be held out to measure with\n"
            "  expected: two images in some class; or data.similarity and finetune.strategy full, "
            "for which nothing is measured"
        )
    shared = np.flatnonzero(counts[targets] >= 2)  # noqa: PLR2004
    alone = np.flatnonzero(counts[targets] == 1)
    repeats = min(REPEATS, -(-ENOUGH_IMAGES // len(shared)))
    return [_deal(shared, alone, targets, min(folds, counts.max()), seed + i) for i in range(repeats)]


def stratified_sample(targets: Targets, limit: int, *, seed: int = 0) -> Rows:
    """Return about `limit` rows at most, in order, in proportion to the classes and with every class."""
    if len(targets) <= limit:
        return np.arange(len(targets))
    rng = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(targets):
        rows = np.flatnonzero(targets == label)
        count = min(len(rows), max(2, round(limit * len(rows) / len(targets))))
        chosen.append(rng.choice(rows, count, replace=False))
    return np.sort(np.concatenate(chosen))


def _deal(shared: Rows, alone: Rows, targets: Targets, folds: int, seed: int) -> list[Fold]:
    from sklearn.model_selection import StratifiedKFold

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # each has two: see deal_folds
        split = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(shared, targets[shared]))
    return [(np.concatenate([shared[learned], alone]), shared[left]) for learned, left in split]
