"""Data sets made of others' images, in other numbers and another order, without decoding them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from finetune.data import Split
from finetune.data.dataset import ImageDataset, Pixels, Progress

Rows = NDArray[np.int64]


class RegroupedPixels(Pixels):
    """Pixels that lie with others: image i is image `rows[i]` of the parts, counted one after the other."""

    def __init__(self, parts: Sequence[Pixels], rows: Rows) -> None:
        super().__init__([image for part in parts for image in part.images], parts[0].preprocess, 0)
        self.shape = (len(rows), *self.shape[1:])
        self.parts, self.rows = parts, rows
        self.starts = np.cumsum([0] + [len(part.images) for part in parts])

    def fill(self, progress: Progress | None = None) -> None:
        """Have each part decode its images."""
        for part in self.parts:
            part.fill(progress)

    def take(self, indices: Sequence[int]) -> list[Tensor]:
        """Each uint8 (3, height, width), from the part that it lies with. Raises: DataError."""
        rows = self.rows[np.asarray(indices, dtype=np.int64)]
        owners = np.searchsorted(self.starts, rows, side="right") - 1
        taken: dict[int, Tensor] = {}
        for owner in np.unique(owners):
            places = np.flatnonzero(owners == owner)
            images = self.parts[owner].take((rows[places] - self.starts[owner]).tolist())
            taken |= dict(zip(places.tolist(), images, strict=True))
        return [taken[place] for place in range(len(rows))]


def sample(dataset: ImageDataset, rows: Rows, *, seed: int) -> ImageDataset:
    """A data set of these images of another one, repeats and all; each draws its own augmentation."""
    pixels = RegroupedPixels([dataset.stored], rows)
    return replace(dataset, split=pick_rows([dataset.split], rows), pixels=pixels, seed=seed)


def join(first: ImageDataset, second: ImageDataset) -> ImageDataset:
    """The images of both, all augmented as the first one's are."""
    rows = np.arange(len(first) + len(second))
    pixels = RegroupedPixels([first.stored, second.stored], rows)
    return replace(first, split=pick_rows([first.split, second.split], rows), pixels=pixels)


def pick_rows(parts: Sequence[Split], rows: Rows) -> Split:
    """The split of these rows of several splits, counted one after the other."""
    picked: dict[str, object] = {}
    for each in fields(Split):
        values = [getattr(part, each.name) for part in parts]
        if isinstance(values[0], np.ndarray):
            picked[each.name] = np.concatenate(values)[rows]
        else:
            joined = [item for value in values for item in value]
            picked[each.name] = tuple(joined[row] for row in rows) if joined else ()
    return Split(**picked)  # type: ignore[arg-type]
