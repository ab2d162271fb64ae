"""Trace a network to ONNX, anew or, in a process that exports one network again and again, only once."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.func import functional_call

from finetune.models.calibrated import CalibratedNet
from serve.artifact import INPUT
from serve.export.graphs import EXAMPLE_SHAPE, ExportError, ExportGraph
from serve.export.silence import silenced

IMAGE = {0: "batch", 1: "height", 2: "width"}
CLASSES, DIRECTIONS = "classes", "directions"
PLAIN = (bool, int, float, str, tuple, list, dict, type(None))
"""What a module's attributes are that its computation may depend on, beside its tensors."""
HELD = ("_parameters", "_buffers", "_modules", "out_features")
"""Attributes that are tensors or modules, or follow from the shapes of tensors."""
_kept: ContextVar[dict[str, onnx.ModelProto] | None] = ContextVar("kept", default=None)


@contextlib.contextmanager
def tracing_once() -> Iterator[None]:
    """In here, networks that differ in their linear head and calibration alone are traced once."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def trace(graph: ExportGraph, opset: int) -> onnx.ModelProto:
    """Return the graph as ONNX, for any batch, height and width.

    Raises: ExportError if the network does something that ONNX cannot express.
    """
    kept, learned = _kept.get(), _find_learned(graph)
    image = torch.zeros(EXAMPLE_SHAPE, dtype=torch.uint8)
    if kept is None or not learned:
        return _export(graph, (image,), [INPUT.name], (IMAGE,), outputs=graph.outputs, opset=opset)
    key = _hash(graph, learned, opset)
    if key not in kept:
        kept.clear()  # one is enough, and each is as large as its network
        sizes = [_free_sizes(name) for name in learned]
        inputs = (image, list(learned.values()))
        names = [INPUT.name, *learned]
        opened = _Opened(graph, list(learned))
        kept[key] = _export(opened, inputs, names, (IMAGE, sizes), outputs=graph.outputs, opset=opset)
    return _fill(kept[key], learned)


class _Opened(nn.Module):
    """The graph with some of its tensors as inputs, so that nothing is computed from them in advance."""

    def __init__(self, graph: ExportGraph, names: Sequence[str]) -> None:
        super().__init__()
        self.whole, self.names = graph, names

    def forward(self, image: Tensor, learned: list[Tensor]) -> tuple[Tensor, ...]:
        """In: uint8 (batch, height, width, 3), and the tensors in the order of their names."""
        outputs: tuple[Tensor, ...] = functional_call(
            self.whole, dict(zip(self.names, learned, strict=True)), (image,)
        )
        return outputs


def _find_learned(graph: ExportGraph) -> dict[str, Tensor]:
    """Return the tensors of the head and of the calibration by name; none where the head is not linear."""
    net = graph.net
    if not isinstance(net, CalibratedNet) or net.novelty is None:
        return {}
    with contextlib.suppress(AttributeError):
        if isinstance(net.net.get_submodule(net.head), nn.Linear):
            starts = (f"net.net.{net.head}.", "net.novelty.", "net.temperature")
            return {name: each for name, each in graph.state_dict().items() if name.startswith(starts)}
    return {}


def _free_sizes(name: str) -> dict[int, str]:
    """Return the axes of such a tensor that differ between data sets."""
    if name == "net.novelty.directions":
        return {1: DIRECTIONS}
    if name == "net.novelty.weights":
        return {0: DIRECTIONS}
    return {} if name.startswith("net.novelty.") or name == "net.temperature" else {0: CLASSES}


def _fill(opened: onnx.ModelProto, learned: Mapping[str, Tensor]) -> onnx.ModelProto:
    """Return the traced graph with these tensors in place of its inputs."""
    model = onnx.ModelProto()
    model.CopyFrom(opened)
    images = [each for each in model.graph.input if each.name not in learned]
    del model.graph.input[:]
    model.graph.input.extend(images)
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(each.numpy(), name) for name, each in learned.items()
    )
    sizes = {size: learned[name].shape[axis] for name in learned for axis, size in _free_sizes(name).items()}
    for value in (*model.graph.output, *model.graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in sizes:
                dimension.dim_value = sizes[dimension.dim_param]
    _check(model)
    return model


def _hash(graph: ExportGraph, learned: Mapping[str, Tensor], opset: int) -> str:
    """Return a hash of all that the traced graph depends on."""
    digest = hashlib.sha256(f"{opset} {list(learned)} {graph.outputs}".encode())
    for name, module in graph.named_modules():
        plain = {
            key: each for key, each in vars(module).items() if isinstance(each, PLAIN) and key not in HELD
        }
        digest.update(f"{name} {type(module)} {plain}".encode())
    for name, tensor in graph.state_dict().items():
        if name not in learned:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _export(
    module: nn.Module,
    inputs: tuple[Any, ...],
    names: Sequence[str],
    sizes: tuple[Any, ...],
    *,
    outputs: Sequence[str],
    opset: int,
) -> onnx.ModelProto:
    """Return a module as ONNX; `sizes` are the free axes of each input. Raises: ExportError."""
    try:
        with silenced():
            program = torch.onnx.export(
                module,
                inputs,
                input_names=list(names),
                output_names=list(outputs),
                dynamic_shapes=sizes,
                opset_version=opset,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter wraps every failure in its own, partly private classes
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ExportError(f"the network cannot be written as ONNX: {reason}") from error
    assert program is not None
    model = program.model_proto
    _strip_notes(model)
    _check(model)
    return model


def _check(model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the exporter wrote an invalid ONNX file: {error}") from error


def _strip_notes(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes: stack traces with this machine's paths, half the size of a small file."""
    for part in [model.graph, *model.functions]:
        del part.metadata_props[:]
        for item in [*part.node, *part.value_info]:
            del item.metadata_props[:]
            item.doc_string = ""
    for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
        value.doc_string = ""
