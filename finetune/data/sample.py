"""A few of a data set's images, the same at each call: for looking at a network, not for training it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetune.data.dataset import ImageDataset, collate
from finetune.runtime.seeds import make_generator


def spread_rows(targets: NDArray[np.int64], count: int, *, seed: int) -> NDArray[np.int64]:
    """The rows of `count` images at most, one of each class in turn, in a random order of each.

    In: `targets` (N,). Out: (min(count, N),), each row once.
    """
    order = torch.randperm(len(targets), generator=make_generator(seed, "sample")).numpy()
    turn = np.empty(len(targets), np.int64)
    for label in np.unique(targets):
        rows = order[targets[order] == label]
        turn[rows] = np.arange(len(rows))
    chosen: NDArray[np.int64] = order[np.argsort(turn[order], kind="stable")][:count]
    return chosen


def read_rows(dataset: ImageDataset, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """These images, not augmented: uint8 (N, 3, height, width), and their targets, as a loader gives them."""
    return collate(replace(dataset, augment=None).__getitems__(rows.tolist()))
