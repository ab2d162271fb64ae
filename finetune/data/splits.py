"""What every source is turned into: three splits of images and targets, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from finetune.data.images import ImageSource

SPLITS = ("train", "val", "test")


class MaskSource(Protocol):
    """A mask that can be read when it is needed."""

    def read(self) -> NDArray[np.uint8]:
        """Out: uint8 (H, W), class numbers. Raises: ImageError."""


@dataclass(frozen=True)
class Split:
    """Images and their classes: `targets` is int64 (N,), indices into the classes.

    For segmentation `masks` hold the class of every pixel, and the targets mean nothing.
    """

    images: tuple[ImageSource, ...]
    targets: NDArray[np.int64]
    masks: tuple[MaskSource, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def counts(self, classes: int) -> list[int]:
        """Images of each class."""
        return [int(count) for count in np.bincount(self.targets, minlength=classes)]

    def median(self, classes: int) -> float:
        """Images of the median class."""
        return float(np.median(self.counts(classes)))


@dataclass(frozen=True)
class Broken:
    """An image that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Splits:
    """Everything a run trains, validates and tests on; `test` is empty where the settings say `test: 0`.

    `warnings` are sentences for the user about what was left out or looks wrong.
    """

    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    broken: tuple[Broken, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """JSON values that say which image is in which split; `read_splits` makes them splits again."""
        record: dict[str, Any] = {"classes": list(self.classes)}
        for name in SPLITS:
            split: Split = getattr(self, name)
            keys = [image.key for image in split.images]
            record[name] = {"images": keys, "targets": split.targets.tolist()}
        record["broken"] = [{"path": each.path, "reason": each.reason} for each in self.broken]
        record["warnings"] = list(self.warnings)
        return record
