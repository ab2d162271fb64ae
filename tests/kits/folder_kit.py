"""Folders of small images of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from finetune.config.data import DataSettings
from finetune.data import Splits, load_splits


def save_images(folder: Path, count: int, suffix: str = ".png", start: int = 0) -> None:
    """`count` small images of noise, all different."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(str(folder).encode()) + start)
    for i in range(start, start + count):
        Image.fromarray(rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)).save(folder / f"{i}{suffix}")


def photos(root: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        save_images(root / name, count)
    return root


def load(root: Path, seed: int = 0, **settings: object) -> Splits:
    return load_splits(DataSettings.model_validate({"folder": str(root), **settings}), seed)


def keys(splits: Splits) -> dict[str, list[str]]:
    """The keys of the images in each split."""
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    return {name: [image.key for image in split.images] for name, split in parts.items()}
