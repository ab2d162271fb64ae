"""The images of one run: some classes, some labelled images of each, drawn by a seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import zoo
from bench.near import some_classes
from bench.trial import load
from finetune.data import Splits
from finetune.data.subset import pick_rows

HELD_BACK = 0.2
"""Share of the drawn images, at least one a class, that the best epoch is chosen by."""


def draw_images(recipe: zoo.Spec, *, classes: int | None, images: int | None, seed: int) -> Splits:
    """The recipe's images; so many of their classes, and so many labelled images of each, None for all."""
    splits = load(recipe)
    return few(splits if classes is None else some_classes(splits, classes, seed), images, seed)


def few(splits: Splits, images: int | None, seed: int) -> Splits:
    """The splits with so many labelled images a class in all, some of them held back for validation."""
    if images is None:
        return splits
    rng = np.random.default_rng(seed)
    held = max(1, round(HELD_BACK * images))
    learned, validated = [], []
    for label in range(len(splits.classes)):
        rows: NDArray[np.intp] = rng.permutation(np.flatnonzero(splits.train.targets == label))[:images]
        validated.append(rows[:held])
        learned.append(rows[held:])
    train, val = (pick_rows([splits.train], np.sort(np.concatenate(rows))) for rows in (learned, validated))
    return replace(splits, train=train, val=val)
