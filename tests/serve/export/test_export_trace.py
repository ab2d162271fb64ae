"""A process that exports a network again with another head traces it once, and its files answer the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_kit import small_net

from finetune.models.calibrated import CalibratedNet
from finetune.models.novelty import Novelty
from finetune.transforms.preprocess import Preprocess
from serve import Predictor
from serve.artifact import Metadata, UnknownLimit
from serve.export import ExportError, export_onnx
from serve.export.trace import tracing_once

IMAGES = [np.full((20, 30, 3), shade, np.uint8) for shade in (20, 200)]
FEATURES = 4 * 36


def export(path: Path, classes: int, directions: int, *, moved: float = 0.0) -> float:
    """Export the same network with a head and a calibration of these sizes; return the largest difference."""
    torch.manual_seed(0)
    net = small_net()
    torch.manual_seed(classes)
    net[-1] = torch.nn.Linear(FEATURES, classes)
    net[0].weight.data += moved
    numbers = {"mean": torch.rand(FEATURES), "std": torch.rand(FEATURES) + 1}
    numbers |= {"directions": torch.rand(FEATURES, directions), "weights": torch.rand(directions)}
    novelty = Novelty(numbers | {"rest": torch.tensor(0.5), "scale": torch.tensor(2.0)})
    calibrated = CalibratedNet(net, str(len(net) - 1), 1.0 + classes % 2, novelty)
    labels = tuple(f"class {number}" for number in range(classes))
    preprocess = Preprocess(height=8, width=8, channels=1)
    about = Metadata("classification", labels, "small", "", unknown=UnknownLimit(1.0, 0.95))
    parity = export_onnx(calibrated, preprocess, labels, path, images=IMAGES, metadata=about)
    assert parity.max_probability_difference is not None
    return parity.max_probability_difference


def test_another_head_needs_no_trace_and_another_network_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracing_once():
        assert export(tmp_path / "first.onnx", classes=2, directions=3) < 1e-6

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("traced")

        monkeypatch.setattr(torch.onnx, "export", fail)
        assert export(tmp_path / "second.onnx", classes=5, directions=7) < 1e-6
        with pytest.raises(ExportError, match="traced"):
            export(tmp_path / "third.onnx", classes=5, directions=7, moved=0.1)
    with pytest.raises(ExportError, match="traced"):
        export(tmp_path / "fourth.onnx", classes=5, directions=7)
    answer = Predictor(tmp_path / "second.onnx").predict(IMAGES[0])
    assert len(answer.answer) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.onnx", "second.onnx"]
