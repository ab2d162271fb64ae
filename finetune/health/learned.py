"""Findings from the features of a pretrained network: doubtful labels, and images unlike all others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from finetune.data.source import Item
from finetune.features.extract import Features
from finetune.health.finding import Finding
from finetune.probes.basis import find_basis
from finetune.probes.discriminant import DiscriminantSearch
from finetune.probes.folds import deal_folds
from finetune.probes.stage_select import tap_blocks
from finetune.runtime.threads import one_core_each

NEIGHBOURS = 5
FAR = 6.0
"""Distance to the neighbours at which an image is unlike the others, in deviations from the median."""
MOST_OUTLIERS = 50
MOST_AT_ONCE = 20_000
"""Images that are compared with each other."""
LAYERS = 3
"""The input of the head, and the stages below it, by which labels are doubted."""
MOST_DOUBTFUL = 0.05
"""Share of the images whose labels are doubted at most: the most doubtful ones."""


def find_by_features(
    items: Sequence[Item], features: Features, classes: Sequence[str], seed: int, most: int = MOST_AT_ONCE
) -> Iterator[Finding]:
    """Yield a finding for each doubtful label and each image unlike all others.

    In: the features of the items. More than `most` images are checked in parts of equal size, drawn at
    random: time grows with the square of the images that are compared, and memory with their number.
    """
    parts = np.array_split(
        np.random.default_rng(seed).permutation(len(items)), math.ceil(len(items) / most) or 1
    )
    for rows in map(np.sort, parts):
        some, of_them = [items[row] for row in rows], features.take(rows)
        yield from find_doubtful_labels(some, of_them, classes, seed)
        yield from find_outliers(some, of_them.head_input, classes)


def find_doubtful_labels(
    items: Sequence[Item], features: Features, classes: Sequence[str], seed: int
) -> Iterator[Finding]:
    """Yield a finding for each image whose label is perhaps wrong.

    A linear classifier of the features is cross-validated, so that each image gets its probabilities from one
    that did not learn from it; confident learning says which labels are doubtful.
    Source: Northcutt et al. 2021, "Confident Learning", arXiv:1911.00068.
    """
    from cleanlab.filter import find_label_issues

    targets = np.array([item.target for item in items], np.int64)
    probabilities = held_out_probabilities(features, targets, seed)
    ranked = find_label_issues(targets, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    for row in ranked[: max(1, round(MOST_DOUBTFUL * len(items)))]:
        label, best = items[row].target, int(probabilities[row].argmax())
        yield Finding(
            "label",
            image=items[row].image.name,
            label=classes[label],
            suggested=classes[best] if best != label else "",
            detail=f"{probabilities[row, best]:.0%} {classes[best]}, "
            f"{probabilities[row, label]:.0%} {classes[label]}",
            score=float(1 - probabilities[row, label]),
        )


def held_out_probabilities(features: Features, targets: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Return the probabilities (N, classes) of each image from a classifier that did not learn from it.

    It is a discriminant of the roots of the last LAYERS outputs: docs/health.md has the measurement.
    """
    blocks = [np.sign(one) * np.sqrt(np.abs(one)) for one in [*tap_blocks(features).values()][-LAYERS:]]
    with one_core_each() as pool:
        basis, folds = find_basis(blocks), deal_folds(targets, seed=seed)[0]
        search = DiscriminantSearch(basis, targets, int(targets.max()) + 1, folds, pool)
        found = search.best().probabilities.astype(np.float64)
    # the only image of a class is never held out, and is not doubted
    found = np.where(np.isnan(found), np.eye(found.shape[1])[targets], found)
    probabilities: NDArray[np.float64] = found / found.sum(axis=1, keepdims=True)
    return probabilities


def find_outliers(
    items: Sequence[Item], features: NDArray[np.float32], classes: Sequence[str]
) -> Iterator[Finding]:
    """Yield a finding for each image that is much further from its nearest neighbours than images are."""
    from sklearn.neighbors import NearestNeighbors

    if len(items) <= NEIGHBOURS:
        return
    vectors = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    search = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, algorithm="brute").fit(vectors)
    distances = search.kneighbors(vectors)[0][:, 1:].mean(axis=1)
    median = np.median(distances)
    deviations = (distances - median) / (1.4826 * np.median(np.abs(distances - median)) + 1e-12)
    for row in np.argsort(-deviations)[:MOST_OUTLIERS]:
        if deviations[row] < FAR:
            break
        label = classes[items[row].target] if isinstance(items[row].target, int) else ""
        yield Finding(
            "outlier",
            image=items[row].image.name,
            label=label,
            detail=f"{distances[row] / median:.1f} times as far from its neighbours as images are",
            score=float(deviations[row]),
        )
