"""The data section of a spec to splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from finetune.config.data import DataSettings
from finetune.data.builtin import digits_source
from finetune.data.checks import check_classes, find_copies
from finetune.data.cut import cut_splits
from finetune.data.folder import folder_source
from finetune.data.pool import Labelled, Source
from finetune.data.scan import Progress, scan_images
from finetune.data.splits import SPLITS, Broken, Split, Splits
from finetune.data.table import hub_source, parquet_source


def load_splits(settings: DataSettings, seed: int, *, progress: Progress | None = None) -> Splits:
    """Find the images, leave the broken ones out, and cut the splits that the source does not bring along.

    The same settings, seed and images give the same splits. `progress` is told how many of how many images
    have been read.
    Raises: DataError for everything that makes the data unfit to train on.
    """
    pool = _source(settings).find()
    check_classes(pool)
    pool, broken = scan_images(pool, settings.max_broken, progress)
    check_classes(pool)  # again: a class may have been broken altogether
    shares = {"test": settings.test, "val": settings.val}
    wanted = {split: share for split, share in shares.items() if share and split not in pool.given}
    parts = cut_splits(pool, wanted, seed)
    return Splits(
        classes=pool.classes,
        train=_split(parts["train"]),
        val=_split(parts["val"]),
        test=_split(parts.get("test", [])),
        broken=broken,
        warnings=(*pool.warnings, *find_copies(pool.where, parts, pool.classes)),
    )


def read_splits(record: Mapping[str, Any], settings: DataSettings) -> Splits:
    """The splits that `Splits.to_record` wrote down, of the same source, without looking at any image."""
    source = _source(settings)
    parts = {
        name: Split(
            tuple(source.open(key) for key in record[name]["images"]),
            np.array(record[name]["targets"], np.int64),
        )
        for name in SPLITS
    }
    broken = tuple(Broken(each["path"], each["reason"]) for each in record["broken"])
    return Splits(tuple(record["classes"]), **parts, broken=broken, warnings=tuple(record["warnings"]))


def _source(settings: DataSettings) -> Source:
    if settings.folder is not None:
        return folder_source(settings.folder)
    if settings.parquet is not None:
        return parquet_source(settings)
    if settings.hub is not None:
        return hub_source(settings)
    return digits_source()


def _split(items: Sequence[Labelled]) -> Split:
    targets = np.array([labelled.target for labelled in items], np.int64)
    return Split(tuple(labelled.image for labelled in items), targets)
