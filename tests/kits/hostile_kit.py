"""Model files that somebody made to do harm, or by mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_model(path: Path, labels: str = '["a", "b", "c"]', columns: str = "3", **metadata: str) -> Path:
    """A classifier that answers 0.3 for every class.

    `columns` is how many it answers: a number, or `height` for as many as the image is high.
    """
    rows = 2 if columns == "height" else 1
    nodes = [helper.make_node("Shape", ["image"], ["size"], start=0, end=rows)]
    if columns == "height":
        shape = "size"
    else:
        nodes.append(helper.make_node("Concat", ["size", "columns"], ["shape"], axis=0))
        shape = "shape"
    nodes.append(helper.make_node("Expand", ["value", shape], ["probabilities"]))
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])],
        [
            numpy_helper.from_array(np.full((1, 1), 0.3, np.float32), "value"),
            numpy_helper.from_array(np.array([3 if columns == "height" else int(columns)]), "columns"),
        ],
    )
    return save(path, graph, labels, **metadata)


def save(path: Path, graph: onnx.GraphProto, labels: str = '["a", "b", "c"]', **metadata: str) -> Path:
    """Write a graph as a model file of Graft's."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    values = {"contract": "1", "task": "classification", "labels": labels, "spec": "evil"}
    values |= {"spec_sha256": "0" * 64, **metadata}
    helper.set_model_props(model, {f"graft.{key}": value for key, value in values.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def write_endless(path: Path) -> Path:
    """A classifier that counts to 2**62 before it answers."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["condition_in"], ["condition_out"]),
            helper.make_node("Add", ["value_in", "value_in"], ["value_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("condition_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value_in", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("condition_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value_out", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("Shape", ["image"], ["size"], start=0, end=1),
        helper.make_node("Concat", ["size", "columns"], ["shape"], axis=0),
        helper.make_node("Expand", ["zero", "shape"], ["start"]),
        helper.make_node("Loop", ["count", "", "start"], ["probabilities"], body=body),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])],
        [
            numpy_helper.from_array(np.zeros((1, 1), np.float32), "zero"),
            numpy_helper.from_array(np.array([3]), "columns"),
            numpy_helper.from_array(np.array(2**62), "count"),
        ],
    )
    return save(path, graph)


def write_external(path: Path) -> Path:
    """A classifier whose answer is in another file of this machine."""
    model = onnx.load(write_model(path))
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "passwd"
    path.write_bytes(model.SerializeToString())
    return path
