"""A folder of images for those who brought none: drawn textures, a folder a class, as JPEG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = 8
SIZES_PX = (240, 272)
"""Sides are drawn from this range."""
COARSE = 8
"""Blotches are so many pixels wide."""
QUALITY = 90


def write_textures(folder: Path, images: int, seed: int = 0, size: tuple[int, int] | None = None) -> None:
    """Write so many images in all, as evenly as the classes allow; the same seed gives the same files.

    In: `size`, width and height to which they are resized.
    """
    rng = np.random.default_rng(seed)
    for number in range(images):
        label, count = number % CLASSES, number // CLASSES
        home = folder / f"texture-{label}"
        home.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(draw_texture(label, rng))
        (image if size is None else image.resize(size)).save(home / f"{count:04}.jpg", quality=QUALITY)


def draw_texture(label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Stripes at the angle of their class, on coloured blotches and grain. Out: uint8 (H, W, 3)."""
    high, wide = rng.integers(*SIZES_PX, 2, endpoint=True)
    angle = np.pi * (label + rng.uniform(-0.3, 0.3)) / CLASSES
    down, across = np.mgrid[:high, :wide]
    along = across * np.cos(angle) + down * np.sin(angle)
    stripes = np.sin(along * rng.uniform(0.15, 0.45) + rng.uniform(0, 2 * np.pi))
    blotches = rng.uniform(0, 255, (high // COARSE + 1, wide // COARSE + 1, 3)).astype(np.uint8)
    ground = Image.fromarray(blotches).resize((wide, high), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 12, (high, wide, 3))
    pixels = np.asarray(ground) * 0.6 + stripes[..., None] * rng.uniform(20, 60, 3) + 50 + grain
    drawn: NDArray[np.uint8] = np.clip(pixels, 0, 255).astype(np.uint8)
    return drawn
