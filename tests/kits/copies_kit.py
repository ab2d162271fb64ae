"""Images that are known by name alone, and photographs with copies as cameras and websites make them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from finetune.data.copies import Copies
from finetune.data.cut import cut_splits
from finetune.data.images import ArrayImage
from finetune.data.source import Item

SHARES = {"test": 0.15, "val": 0.15}


def named_item(name: str, stratum: int = 0, content: str = "") -> Item:
    """An item without pixels; its digest follows from the content, by default the name."""
    digest = hashlib.sha256((content or name).encode()).hexdigest()
    return Item(ArrayImage(name, np.zeros((1, 1, 3), np.uint8), sha256=digest), stratum, stratum)


def named_items(stratum: int, count: int, prefix: str = "") -> list[Item]:
    return [named_item(f"{prefix or stratum}/{i}", stratum) for i in range(count)]


def split_by_name(items: Sequence[Item], seed: int = 0, copies: Copies | None = None) -> dict[str, str]:
    """The split of each item, by its name."""
    classes = [str(stratum) for stratum in range(1 + max(item.stratum for item in items))]
    parts, _ = cut_splits(items, copies or Copies(), SHARES, seed, classes=classes, where="here")
    return {item.image.name: split for split, part in parts.items() for item in part}


def draw_scene(seed: int, side: int = 120) -> Image.Image:
    """A picture with large areas and some detail, as photographs have."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)).resize(
                (side, side), Image.Resampling.BICUBIC
            ),
            np.float64,
        )
        / cells**0.5
        for cells in (3, 5, 9, 20)
    ]
    mixed = np.sum(layers, axis=0)
    low, high = mixed.min(), mixed.max()
    return Image.fromarray(((mixed - low) * (255 / (high - low))).astype(np.uint8))


def crop(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """The image without these shares of its width and height."""
    width, height = image.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    return image.crop(tuple(map(round, box)))


def save_scene(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_scene(seed).save(path, quality=90)


def save_scenes(root: Path, folders: Sequence[str], count: int, *, start: int = 0) -> Path:
    """`count` different scenes in each folder."""
    for k, folder in enumerate(folders):
        for i in range(count):
            save_scene(root / folder / f"{i}.jpg", start + 1000 * k + i)
    return root


def copy_changed(source: Path, target: Path, number: int) -> None:
    """Save a copy of an image that is encoded again, smaller, larger, or cropped by 5%, by its number."""
    target.parent.mkdir(parents=True, exist_ok=True)
    image = Image.open(source).convert("RGB")
    width, height = image.size
    changed = [
        image,
        image.resize((round(0.6 * width), round(0.6 * height))),
        image.resize((round(1.5 * width), round(1.5 * height))),
        crop(image, 0.025, 0.025, 0.025, 0.025),
        crop(image, 0.05, 0, 0, 0.05),
    ][number % 5]
    changed.save(target, quality=70 if number % 2 else 85)
