"""Networks and images with a planted truth: where in the network the classes can be told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file, save_file

import zoo
from finetune.api import run

SIDE = 16
SPEC = """
name: planted
input: {height: 16, width: 16, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}
classes: 4
head: fc
stages: [low, high]
layers:
  low: {conv: {out: 12, kernel: 3, padding: 1, stride: 2}}
  act1: relu
  high: {conv: {out: 12, kernel: 3, padding: 1, stride: 2}}
  act2: relu
  pool: {adaptive_avg_pool: {size: 1}}
  flatten: flatten
  fc: {linear: {out: $classes}}
weights: {default: {file: planted.safetensors, licence: none, classes: 4}}
data: {val: 0.2, test: 0.1}
augment: []
finetune: {precision: float32, checks: none, monitor: none, trackers: []}
export: {parity_images: 4}
"""


def write_spec(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    """The spec with these weights as its `default`."""
    path = folder / "planted.yaml"
    path.write_text(SPEC)
    save_file(state, folder / "planted.safetensors")
    return path


def random_state(folder: Path) -> dict[str, torch.Tensor]:
    """The weights as they are first drawn."""
    path = folder / "bare.yaml"
    path.write_text(SPEC)
    return zoo.build(str(path), seed=1).state_dict()


def write_images(folder: Path, classes: int, count: int, *, seed: int = 0, noise: float = 20.0) -> Path:
    """Class k of up to eight has its colour channels high or low, as the bits of k say; the rest is noise."""
    rng = np.random.default_rng(seed)
    for label in range(classes):
        place = folder / f"class_{label:03d}"
        place.mkdir(parents=True)
        for index in range(count):
            base = np.array([200.0 if label >> bit & 1 else 60.0 for bit in range(3)])
            _save(place / f"{index}.png", base + rng.normal(0, noise, (SIDE, SIDE, 3)))
    return folder


def write_noise(folder: Path, classes: int, count: int) -> Path:
    """Labels that say nothing of the images."""
    rng = np.random.default_rng(1)
    for label in range(classes):
        place = folder / f"class_{label:03d}"
        place.mkdir(parents=True)
        for index in range(count):
            _save(place / f"{index}.png", rng.normal(128, 40, (SIDE, SIDE, 3)))
    return folder


def trained_state(folder: Path, images: Path) -> dict[str, torch.Tensor]:
    """The weights after training on these images."""
    spec = write_spec(folder, random_state(folder))
    values = {"finetune.strategy": "scratch", "finetune.weights": "none", "finetune.epochs": 60}
    run(spec, data=str(images), set=values, run=folder / "first", console=Console(quiet=True))
    return load_file(folder / "first" / "model.safetensors")


def write_stripes(folder: Path, count: int, *, seed: int) -> Path:
    """Four classes that differ in the blue channel alone: stripes coarse or fine, upright or not, shifted."""
    rng = np.random.default_rng(seed)
    place = np.arange(SIDE)
    for label in range(4):
        home = folder / f"class_{label}"
        home.mkdir(parents=True)
        period, upright = (3, 6)[label % 2], label // 2
        for index in range(count):
            wave = 128 + 60 * np.sin(2 * np.pi * (place + rng.uniform(0, period)) / period)
            image = rng.normal(128, 40, (SIDE, SIDE, 3))
            stripes = np.broadcast_to(wave, (SIDE, SIDE))
            image[..., 2] = (stripes.T if upright else stripes) + rng.normal(0, 8, (SIDE, SIDE))
            _save(home / f"{index}.png", image)
    return folder


def _save(path: Path, pixels: NDArray[np.float64]) -> None:
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
