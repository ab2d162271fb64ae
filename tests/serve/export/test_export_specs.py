"""Every small network of the zoo becomes a checked file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import zoo
from finetune.transforms.preprocess import Preprocess
from serve import Predictor
from serve.export import export_onnx
from zoo.builder.network import build_network

ROOT = Path(__file__).parents[3]
SMALL = 500_000
CLASSES = ("one", "two", "three")


def small_specs() -> list[Path]:
    """Return the specs with fewer than SMALL parameters; those for pretraining have the same networks."""
    found = []
    for path in sorted((ROOT / "specs").rglob("*.yaml")):
        spec = zoo.read_spec(path)
        if spec.layers is None or path.parent.name == "pretrain":
            continue
        net = build_network(spec).net
        if sum(parameter.numel() for parameter in net.parameters()) < SMALL:
            found.append(path)
    return found


SPECS = small_specs()


def test_there_are_small_specs() -> None:
    assert {"lenet5", "resnet20", "mobilenet_small", "unet"} <= {path.stem for path in SPECS}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_small_spec_exports(path: Path, tmp_path: Path) -> None:
    spec = zoo.read_spec(path)
    shape = spec.input
    preprocess = Preprocess(height=shape.height, width=shape.width, channels=shape.channels)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40, 50, 3), np.uint8), rng.integers(0, 256, (33, 20, 3), np.uint8)]
    net = zoo.build(spec, classes=len(CLASSES)).eval()
    parity = export_onnx(net, preprocess, CLASSES, tmp_path / "model.onnx", task=spec.task, images=images)
    assert parity.images == len(images)
    predictor = Predictor(tmp_path / "model.onnx")
    assert {label for label, _ in predictor(images[0])} == set(CLASSES)
    assert predictor.output(images[0]).shape == (images[0].shape[:2] if predictor.task.dense else (3,))
