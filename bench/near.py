"""Tasks near the shipped weights: some classes of Tiny ImageNet's validation images, never trained on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from finetune.data import Split, Splits
from finetune.data.subset import pick_rows

SHARES: dict[str, object] = {"data.val": 0.1, "data.test": 0.4}
"""How the 50 images of a class are split, so that accuracy has something to be measured on."""
IMAGES = 30
"""Labelled images a class that this leaves."""


Set = tuple[str, str | None, int | None]
"""Name and folder (None for the builtin digits) of a data set, and how many of its classes (None for all)."""


def sets(tiny_imagenet: str, counts: Sequence[int], out: Path) -> list[Set]:
    """A data set for each number of classes, which every draw draws anew."""
    place = str(validation_images(Path(tiny_imagenet).expanduser(), out))
    return [(f"{count} near classes", place, count) for count in counts]


def enough(classes: int | None, images: int | None) -> bool:
    """Whether a set with so many drawn classes has so many images of each; where None are asked, all."""
    return classes is None or images is None or images <= IMAGES


def validation_images(data: Path, out: Path) -> Path:
    """A folder with nothing but Tiny ImageNet's validation images, which no weights were trained on."""
    if not (out / "classes.json").exists():
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted(data.glob("val*.parquet")):
            shutil.copy(path, out / path.name.replace("val", "train", 1))
        names = json.loads((data / "classes.json").read_text())
        (out / "classes.json").write_text(json.dumps(names))
    return out


def some_classes(splits: Splits, count: int, seed: int) -> Splits:
    """The splits with so many of their classes, drawn by the seed."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(splits.classes), count, replace=False))
    place = {int(label): index for index, label in enumerate(chosen)}

    def narrowed(split: Split) -> Split:
        kept = pick_rows([split], np.flatnonzero(np.isin(split.targets, chosen)))
        targets = np.array([place[int(label)] for label in kept.targets], dtype=np.int64)
        return replace(kept, targets=targets, strata=targets)

    return replace(
        splits,
        classes=tuple(splits.classes[label] for label in chosen),
        train=narrowed(splits.train),
        val=narrowed(splits.val),
        test=narrowed(splits.test),
    )
