"""Specs to choose a network from: one that sees nothing of the images, two that tell the classes apart."""

from __future__ import annotations

from pathlib import Path

import torch
from planted_kit import SPEC, write_images
from safetensors.torch import save_file

import zoo

AUTO = """
name: chooses
classes: 4
model: {auto: [large, blind, seeing]}
data: {val: 0.2, test: 0.2}
augment: []
finetune: {precision: float32, checks: none, monitor: none, trackers: [], strategy: linear_probe}
export: {parity_images: 4}
"""


def write_networks(folder: Path) -> Path:
    """Write the specs with their weights. Out: the spec that chooses among them."""
    for name, width in (("blind", 12), ("seeing", 12), ("large", 24)):
        text = SPEC.replace("planted", name).replace("out: 12", f"out: {width}")
        path = folder / f"{name}.yaml"
        path.write_text(text)
        state = zoo.build(str(path), seed=1).state_dict()
        if name == "blind":
            state = {key: torch.zeros_like(value) for key, value in state.items()}
        save_file(state, folder / f"{name}.safetensors")
    (folder / "chooses.yaml").write_text(AUTO)
    return folder / "chooses.yaml"


def write_photos(folder: Path) -> Path:
    """Write images of four colours that `seeing` and `large` tell apart."""
    return write_images(folder / "photos", classes=4, count=25)
