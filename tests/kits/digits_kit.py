"""Handwritten digits, a network that learns them in seconds, and its exported run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

from finetune.transforms.preprocess import Preprocess
from serve.tasks.comparison import Parity

ONNX_WEB = Path(__file__).parents[2] / "examples" / "node"
DIGITS = tuple("0123456789")
SCALE = 4  # 8x8 digits are shown at 32x32


@dataclass(frozen=True)
class DigitsModel:
    """An exported run `runs/digits_tiny/<id>/` and the network it was made from."""

    runs: Path
    folder: Path
    net: nn.Module
    preprocess: Preprocess
    parity: Parity
    accuracy: float

    @property
    def path(self) -> Path:
        return self.folder / "model.onnx"


@dataclass(frozen=True)
class MaskModel:
    """An exported segmenter and its network."""

    path: Path
    net: nn.Module
    preprocess: Preprocess
    labels: tuple[str, ...] = ("sky", "sea", "land")


MIXED_SIZES = ((64, 64), (50, 80), (131, 77), (9, 9), (300, 200))


def smooth_images(*sizes: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Draw images as smooth as photographs, uint8 (height, width, 3); of mixed sizes if none are given."""
    sizes = sizes or MIXED_SIZES
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 256, (len(sizes), 3, 6, 6)).astype(np.float32))
    return [
        nn.functional.interpolate(coarse[i : i + 1], size=size, mode="bicubic")[0]
        .clamp(0, 255)
        .byte()
        .permute(1, 2, 0)
        .numpy()
        for i, size in enumerate(sizes)
    ]


def digit_images() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return uint8 (1797, 32, 32, 3), dark on light as on paper, and the digits."""
    digits = load_digits()
    grey = (255 - digits.images * (255 / 16)).round().astype(np.uint8)
    large = grey.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
    return np.repeat(large[..., None], 3, axis=3), digits.target.astype(np.int64)


def train(preprocess: Preprocess, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> nn.Module:
    """Train a small network for a few dozen steps on all images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    inputs, classes = preprocess(torch.from_numpy(images)), torch.from_numpy(targets)
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=40, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = nn.functional.cross_entropy(net(inputs), classes, label_smoothing=0.05)
        value.backward()
        return value

    optimizer.step(loss)
    return net.eval()


def save_png(path: Path, image: NDArray[np.uint8]) -> Path:
    """Write pixels as a PNG file."""
    Image.fromarray(image).save(path)
    return path
