"""A real classifier of handwritten digits, trained and exported once for all tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from digits_kit import DIGITS, DigitsModel, digit_images, train
from numpy.typing import NDArray

from finetune.preprocess import Preprocess
from serve.artifact import Metadata
from serve.export import export_onnx


@pytest.fixture(scope="session")
def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The last 297 images, which no network here was trained on."""
    images, targets = digit_images()
    return images[1500:], targets[1500:]


@pytest.fixture(scope="session")
def digits_model(tmp_path_factory: pytest.TempPathFactory) -> DigitsModel:
    images, targets = digit_images()
    preprocess = Preprocess(height=16, width=16, channels=1, mean=[0.7], std=[0.35])
    net = train(preprocess, images[:1500], targets[:1500])
    with torch.no_grad():
        answers = net(preprocess(torch.from_numpy(images[1500:]))).argmax(1).numpy()
    accuracy = float((answers == targets[1500:]).mean())
    runs = tmp_path_factory.mktemp("served") / "runs"
    folder = runs / "digits_tiny" / "20260102-030405"
    metadata = Metadata(
        task="classification",
        labels=DIGITS,
        spec="digits_tiny",
        spec_sha256="f00d" * 16,
        metrics={"accuracy": accuracy},
        weights={"origin": "a test's own training", "licence": "Apache-2.0"},
        created="2026-01-02T03:04:05+00:00",
        graft_version="0.1.0",
    )
    parity = export_onnx(
        net, preprocess, DIGITS, folder / "model.onnx", metadata=metadata, images=images[1500:1600]
    )
    return DigitsModel(runs, folder, net, preprocess, parity, accuracy)
