"""Small networks of the zoo, one of each kind, become checked files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import zoo
from finetune.transforms.preprocess import Preprocess
from serve import Predictor
from serve.export import export_onnx
from zoo.spec.inherit import SPECS

CLASSES = ("one", "two", "three")


@pytest.mark.parametrize("name", ["lenet5", "examples/mobilenet_small.yaml", "examples/unet.yaml"])
def test_small_spec_exports(name: str, tmp_path: Path) -> None:
    spec = zoo.read_spec(SPECS / name if "/" in name else name)
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
