"""Static quantisation of the network in a model file, by onnxruntime; the rest of the graph stays."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from serve.artifact import INPUT
from serve.export.silence import silenced

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
PREPROCESSING = "preprocess."
"""Where the exporter's names of constants begin that are no weights of the network."""


class Quantizer:
    """Makes int8 versions of a model file, with any of its layers left in float.

    Weights are int8, one scale for each output channel, and activations uint8. Weights use 7 of the 8 bits:
    on processors with AVX2 but without VNNI, sums of 8-bit products overflow, and the file would answer
    differently there. `images`, uint8 (height, width, 3), show the ranges of the activations. `folder` is for
    files in between.
    """

    def __init__(self, path: Path, images: Iterable[NDArray[np.uint8]], folder: Path) -> None:
        self._model, self._images = folder / "model.onnx", images
        self._ranges, self._written = folder / "ranges.json", folder / "int8.onnx"
        shutil.copyfile(path, self._model)  # onnxruntime writes beside it
        model = onnx.load(path)
        self.layers = find_layers(model)
        """Names of the layers that have weights, in the order of the graph; the last one is the head."""
        self._network = find_network(model, self.layers)

    def without(self, left: Collection[str]) -> onnx.ModelProto:
        """Return the model with its network in int8, but for these layers."""
        return self.only([name for name in self._network if name not in left])

    def only(self, nodes: Collection[str]) -> onnx.ModelProto:
        """Return the model with these operators in int8."""
        reader = None if self._ranges.exists() else _Reader(self._images)
        with silenced():
            quantize_static(
                self._model,
                self._written,
                reader,
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=list(nodes),
                calibration_cache_path=self._ranges,
            )
        return onnx.load(self._written)


def find_layers(model: onnx.ModelProto) -> list[str]:
    """Return the names of the layers with weights of the network that the first output depends on."""
    weights = {tensor.name for tensor in model.graph.initializer if not tensor.name.startswith(PREPROCESSING)}
    makers = {output: node for node in model.graph.node for output in node.output}
    answer = _reach([makers[model.graph.output[0].name]], lambda node: _sources(node, makers))
    return [
        node.name
        for node in model.graph.node
        if node.op_type in LAYERS and len(node.input) > 1 and node.input[1] in weights and node.name in answer
    ]


def find_network(model: onnx.ModelProto, layers: Collection[str]) -> list[str]:
    """Return the names of the layers and of all operators between two of them, in the order of the graph."""
    makers = {output: node for node in model.graph.node for output in node.output}
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            users[name].append(node)
    start = [node for node in model.graph.node if node.name in set(layers)]
    after = _reach(start, lambda node: (user for name in node.output for user in users[name]))
    before = _reach(start, lambda node: _sources(node, makers))
    return [node.name for node in model.graph.node if node.name in after and node.name in before]


def _sources(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    return (makers[name] for name in node.input if name in makers)


def _reach(
    start: Sequence[onnx.NodeProto], near: Callable[[onnx.NodeProto], Iterable[onnx.NodeProto]]
) -> set[str]:
    """Return the names of the nodes that can be reached, those of the start included."""
    found, waiting = {node.name for node in start}, list(start)
    while waiting:
        for node in near(waiting.pop()):
            if node.name not in found:
                found.add(node.name)
                waiting.append(node)
    return found


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Gives the images one by one."""

    def __init__(self, images: Iterable[NDArray[np.uint8]]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT.name: image[None]}
