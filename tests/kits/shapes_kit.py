"""Images of two classes that look like something: a disc, or stripes, in any colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_shapes(folder: Path, count: int, names: tuple[str, str] = ("disc", "stripes")) -> list[list[Path]]:
    """Write so many images of each class, 100 to 150 pixels wide and high; return their paths."""
    random = np.random.default_rng(0)
    found: list[list[Path]] = []
    for kind, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        found.append([])
        for number in range(count):
            height, width = random.integers(100, 150, 2)
            y, x = np.mgrid[:height, :width]
            place, slant = random.uniform(0.4, 0.6, 2), random.uniform(0.5, 1, 2)
            radius, period = random.uniform(20, 45), random.integers(6, 14)
            disc = (y - height * place[0]) ** 2 + (x - width * place[1]) ** 2 < radius**2
            inside = (y * slant[0] + x * slant[1]) // period % 2 < 1 if kind else disc
            colour = random.integers(0, 255, 3)
            pixels = np.where(inside[..., None], colour, 255 - colour) + random.normal(
                0, 12, (height, width, 3)
            )
            found[-1].append(folder / name / f"{name} {number}.png")
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(found[-1][-1])
    return found
