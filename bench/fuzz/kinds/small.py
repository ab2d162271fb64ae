"""Small models, specs and runs that kinds start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

QUIET = Console(quiet=True)
LABELS = ["cat", "dog", "rose"]
PROPERTIES = {
    "contract": "1",
    "task": "classification",
    "labels": json.dumps(LABELS),
    "spec": "small",
    "spec_sha256": "0" * 64,
    "metrics": '{"accuracy": 0.9, "loss": 0.3}',
    "weights": '{"name": "w", "origin": "somewhere", "licence": "MIT", "sha256": "00", "classes": 3}',
    "parity": '{"images": 4, "largest": 1e-6}',
    "created": "2026-01-02T03:04:05+00:00",
    "version": "0.1.0",
}
SPEC = """\
name: small
input: {channels: 1, height: 8, width: 8}
classes: 10
head: fc
stages: [conv]
layers:
  conv: {conv: {out: 8, kernel: 3}}
  act: relu
  flatten: flatten
  fc: {linear: {out: $classes}}
data: {val: 0.5, test: 0.3}
finetune: {strategy: scratch, batch_size: 64, epochs: 3, precision: float32, checks: none, monitor: none}
export: {parity_images: 4}
"""


def write_spec(folder: Path) -> Path:
    """Write the spec of a network that learns digits in a second."""
    path = folder / "small.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


def write_model(path: Path, properties: Mapping[str, str]) -> Path:
    """Write a model that gives every image the same probabilities, with this metadata."""
    nodes = [
        helper.make_node("Shape", ["image"], ["count"], start=0, end=1),
        helper.make_node("Concat", ["count", "classes"], ["shape"], axis=0),
        helper.make_node("Expand", ["share", "shape"], ["probabilities"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(LABELS)])
    values = [
        numpy_helper.from_array(np.full((1, 1), 1 / len(LABELS), np.float32), "share"),
        numpy_helper.from_array(np.array([len(LABELS)], np.int64), "classes"),
    ]
    graph = helper.make_graph(nodes, "small", [image], [output], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, {f"graft.{key}": value for key, value in properties.items()})
    path.write_bytes(model.SerializeToString())
    return path
