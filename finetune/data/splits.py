"""The splits of a source: images and targets to train, validate and test on, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from finetune.config.data import DataSettings
from finetune.data.copies import Copies, find_copies
from finetune.data.cut import cut_splits
from finetune.data.exclude import exclude_images
from finetune.data.images import ImageSource
from finetune.data.leaks import mend_leaks, warn_copies
from finetune.data.scan import Broken, scan_images, warn_shallow
from finetune.data.source import SPLITS, Item, Pool, Source, open_source


@dataclass(frozen=True)
class Split:
    """Images (N) with their `targets` (N, …) and `strata` int64 (N,).

    The targets of classification are class indices, int64 (N,); those of segmentation are the masks' files,
    as an array of objects (N,). The strata are the groups by which splits are cut and images sampled: the
    classes where each image has one, else a single group.
    """

    images: tuple[ImageSource, ...]
    targets: NDArray[Any]
    strata: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def counts(self, classes: int) -> list[int]:
        """Count the images of each class."""
        return [int(count) for count in np.bincount(self.strata, minlength=classes)]

    def median(self, classes: int) -> float:
        """Return the number of images of the median class."""
        return float(np.median(self.counts(classes)))


@dataclass(frozen=True)
class Scanned:
    """What the scan of the images showed: the items of each split with their looks, and their copies."""

    parts: Mapping[str, Sequence[Item]]
    copies: Copies


@dataclass(frozen=True)
class Splits:
    """What a run trains, validates and tests on; `test` is empty where the settings say `test: 0`.

    `warnings` are sentences for the user about what was left out or looks wrong. `scanned` is None for splits
    that were read from a file. `named` is False where the
    classes are called by their numbers, because the data gives them no names.
    """

    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    broken: tuple[Broken, ...] = ()
    warnings: tuple[str, ...] = ()
    named: bool = True
    scanned: Scanned | None = field(default=None, compare=False, repr=False)

    @property
    def given_names(self) -> tuple[str, ...]:
        """The names that the data gives its classes; none where it gives no names."""
        return self.classes if self.named else ()

    def to_record(self) -> dict[str, Any]:
        """Return JSON values that say which image is in which split."""
        train, val, test = map(_to_record, (self.train, self.val, self.test))
        values: dict[str, Any] = RECORD.dump_python(
            SplitsRecord(self.classes, train, val, test, self.broken, self.warnings, self.named)
        )
        return values


@dataclass(frozen=True)
class SplitRecord:
    """A split in splits.json: keys of images, and their targets unless the keys imply them."""

    images: list[str]
    targets: list[Any]


@dataclass(frozen=True)
class SplitsRecord:
    """What splits.json holds."""

    classes: tuple[str, ...]
    train: SplitRecord
    val: SplitRecord
    test: SplitRecord
    broken: tuple[Broken, ...]
    warnings: tuple[str, ...]
    named: bool


RECORD = TypeAdapter(SplitsRecord)
"""Reads and writes Python values: pydantic's own JSON has no place for file names that are not UTF-8."""


@dataclass(frozen=True)
class Images:
    """All readable images of a source in the splits that it has, before any are cut; and the broken ones."""

    where: str
    pool: Pool
    broken: tuple[Broken, ...]

    @property
    def items(self) -> list[Item]:
        """The images of all splits."""
        return [item for part in self.pool.splits.values() for item in part]


def read_images(settings: DataSettings, target: str = "class") -> Images:
    """Find all images, leave out those that the user excludes, and read the others once.

    `target` is the kind of target, as sources are registered by. Raises: DataError for data that cannot be
    trained on.
    """
    source = open_source(settings, target)
    pool = exclude_images(source.find(), settings.exclude, source.where)
    source.check(pool)
    pool, broken = scan_images(pool, source.where, settings.max_broken)
    source.check(pool)
    pool = source.complete(pool)
    warnings = (*pool.warnings, *warn_shallow(pool, source.where))
    return Images(source.where, replace(pool, warnings=warnings), broken)


def load_splits(settings: DataSettings, seed: int, target: str = "class") -> Splits:
    """Read all images, bring copies into one split, and cut the splits that the source does not have.

    The same settings, seed and images give the same splits. Raises: DataError as read_images, and where there
    are too few images.
    """
    images = read_images(settings, target)
    pool, where, copies = images.pool, images.where, find_copies(images.items)
    parts, mended = mend_leaks(pool.splits, copies, where)
    shares = {"test": settings.test, "val": settings.val}
    wanted = {split: share for split, share in shares.items() if share and split not in pool.splits}
    cut, noted = cut_splits(parts["train"], copies, wanted, seed, classes=pool.classes, where=where)
    parts |= cut
    warnings = (*pool.warnings, *mended, *noted, *warn_copies(parts, copies, pool.classes, where))
    train, val, test = (make_split(parts.get(name, [])) for name in SPLITS)
    scanned = Scanned(parts, copies)
    return Splits(pool.classes, train, val, test, images.broken, warnings, pool.named, scanned)


def make_split(items: Sequence[Item]) -> Split:
    """Return the items as a split."""
    targets = np.array([item.target for item in items]) if items else np.zeros(0, np.int64)
    strata = np.array([item.stratum for item in items], np.int64)
    return Split(tuple(item.image for item in items), targets, strata)


def read_splits(values: object, settings: DataSettings, target: str = "class") -> Splits:
    """Return the splits that `Splits.to_record` wrote, of the same source, without reading any image."""
    record = RECORD.validate_python(values)
    source = open_source(settings, target)
    train, val, test = (_from_record(part, source) for part in (record.train, record.val, record.test))
    return Splits(record.classes, train, val, test, record.broken, record.warnings, record.named)


def _to_record(split: Split) -> SplitRecord:
    targets = [] if split.targets.dtype == object else split.targets.tolist()
    return SplitRecord([image.key for image in split.images], targets)


def _from_record(record: SplitRecord, source: Source) -> Split:
    pairs = zip_longest(record.images, record.targets)
    return make_split([source.open(key, target) for key, target in pairs])
