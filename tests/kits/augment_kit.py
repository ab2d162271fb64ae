"""Images to augment, and what is found in them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from finetune.transforms.augment import build_augment
from finetune.transforms.augmentations import AUGMENTATIONS
from finetune.transforms.statistics import Statistics, measure_statistics


def noise(height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)


def statistics() -> Statistics:
    rng = np.random.default_rng(0)
    base = rng.normal(128, 50, (4, 1, 32, 32)) + rng.normal(0, 25, (4, 3, 32, 32))
    return measure_statistics(base.clip(0, 255).astype(np.uint8))


def step(name: str, size: tuple[int, int] = (32, 32), **arguments: object) -> Any:  # noqa: ANN401
    return build_augment([AUGMENTATIONS.read_call({name: arguments})], size=size, statistics=statistics())


def draw(name: str, image: Tensor, count: int, **arguments: object) -> Tensor:
    """(count, 3, height, width) of one image, by default with probability 1."""
    transform = step(name, (image.shape[1], image.shape[2]), **{"p": 1.0, **arguments})
    return torch.stack([transform(image) for _ in range(count)])


def spot(*places: tuple[float, float], size: int = 65) -> Tensor:
    """White spots on black, at (right, down) from the middle in half sides."""
    image = torch.zeros(3, size, size)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    for right, down in places:
        image += torch.exp(-((x - right) ** 2 + (y - down) ** 2) / 0.01)
    return (image.clamp(0, 1) * 255).to(torch.uint8)


def find_spots(images: Tensor) -> Tensor:
    """(N, 2): where the spot of each image is, (right, down) from the middle in half sides."""
    weights = images[:, 0].double()
    side = torch.linspace(-1, 1, images.shape[-1], dtype=torch.float64)
    total = weights.sum((1, 2))
    return torch.stack([(weights.sum(1) * side).sum(1) / total, (weights.sum(2) * side).sum(1) / total], 1)


def spans(values: Tensor, low: float, high: float, slack: float) -> bool:
    """Whether draws stay within a range, give or take, and come near both of its ends."""
    reach = 0.15 * (high - low)
    inside = low - slack <= values.min() and values.max() <= high + slack
    return bool(inside and values.min() < low + reach and values.max() > high - reach)


def flat(red: int, green: int, blue: int, size: int = 8) -> Tensor:
    return torch.tensor([red, green, blue], dtype=torch.uint8).reshape(3, 1, 1).repeat(1, size, size)
