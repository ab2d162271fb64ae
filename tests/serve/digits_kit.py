"""Real handwritten digits, a network that learns them in a second or two, and what an export of it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

from finetune.preprocess import Preprocess
from serve.parity import Parity

DIGITS = tuple("0123456789")
SCALE = 4  # 8x8 digits are shown at 32x32


@dataclass(frozen=True)
class DigitsModel:
    """An exported run `runs/digits_tiny/<id>/` and what it was made from."""

    runs: Path
    folder: Path
    net: nn.Module
    preprocess: Preprocess
    parity: Parity
    accuracy: float

    @property
    def path(self) -> Path:
        return self.folder / "model.onnx"


def digit_images() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """uint8 (1797, 32, 32, 3), dark on light as on paper, and the digits."""
    digits = load_digits()
    grey = (255 - digits.images * (255 / 16)).round().astype(np.uint8)
    large = grey.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
    return np.repeat(large[..., None], 3, axis=3), digits.target.astype(np.int64)


def train(preprocess: Preprocess, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> nn.Module:
    """A small convolutional network after a few passes over the images."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(512, 10),
        )
        order = torch.randperm(len(images))
        inputs, wanted = preprocess(torch.from_numpy(images))[order], torch.from_numpy(targets)[order]
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(6):
        for start in range(0, len(inputs), 50):
            loss = nn.functional.cross_entropy(net(inputs[start : start + 50]), wanted[start : start + 50])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


def save_png(path: Path, image: NDArray[np.uint8]) -> Path:
    """Write pixels as a PNG file."""
    Image.fromarray(image).save(path)
    return path
