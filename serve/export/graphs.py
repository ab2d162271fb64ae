"""The graph that is exported: a network between its preprocessing and its task's last step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

import serve.tasks
from finetune.models.calibrated import CalibratedNet
from finetune.tasks.base import Task
from serve.artifact import UNKNOWN
from serve.export.parity import Expected
from serve.model import ModelOutput
from zoo.errors import GraftError

MAX_BYTES = 2**31 - 2**20  # protobuf's limit of 2 GiB, less room for the graph itself
EXAMPLE_SHAPE = (2, 37, 53, 3)  # no two sizes are equal or 1, or the exporter would tie them together


class ExportError(GraftError):
    """A network that cannot be exported, or whose exported file answers differently."""


class ExportGraph(nn.Module):
    """Raw pixels to the task's answer: what the model file computes."""

    def __init__(self, preprocess: nn.Module, net: nn.Module, task: Task) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.net = net
        self.task = task

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what the file answers."""
        task = serve.tasks.find_task(self.task.name).output.name
        return (task, UNKNOWN.name) if self._knows_unknown else (task,)

    @property
    def _knows_unknown(self) -> bool:
        return isinstance(self.net, CalibratedNet) and self.net.novelty is not None

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """In: uint8 (batch, height, width, 3). Out: the task's output, and how unlike the training images."""
        logits, *unknown = self._run(image)
        return self.task.answer(logits, image), *unknown

    def expected(self, image: Tensor) -> Expected:
        """Return the outputs with their margins, to compare with the file's."""
        logits, *unknown = self._run(image)
        return Expected(
            ModelOutput(self.task.answer(logits, image).numpy(), *(one.numpy() for one in unknown)),
            self.task.margin(logits, image).numpy(),
        )

    def _run(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the logits, and how unlike the training images each image is, if the network says so."""
        pixels = self.preprocess(image)
        if isinstance(self.net, CalibratedNet) and self._knows_unknown:
            return self.net.with_unknown(pixels)
        return (self.net(pixels),)


@contextlib.contextmanager
def evaluation_mode(graph: ExportGraph) -> Iterator[ExportGraph]:
    """Move the graph to the CPU in evaluation mode without gradients, and restore it afterwards."""
    training = [module for module in graph.modules() if module.training]
    device = next(graph.net.parameters(), torch.empty(0)).device
    graph.eval().cpu()
    try:
        with torch.no_grad():
            yield graph
    finally:
        graph.to(device)
        for module in training:
            module.training = True


def check_graph(graph: ExportGraph, labels: tuple[str, ...]) -> None:
    """Raises: ExportError if no export of the graph could be right."""
    tensors = [*graph.parameters(), *graph.buffers()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if size > MAX_BYTES:
        raise ExportError(f"the network takes {size / 2**30:.1f} GiB; one ONNX file holds less than 2 GiB")
    other = {str(t.dtype) for t in tensors if t.is_floating_point() and t.dtype != torch.float32}
    if other:
        raise ExportError(f"the network holds {', '.join(sorted(other))}; expected float32: call net.float()")
    name = graph.task.name
    task = serve.tasks.find_task(name)
    rule = getattr(graph.preprocess, "rule", "squash")
    if task.dense and rule != "squash":
        raise ExportError(
            f"input.resize is {rule!r}; {name} answers for the whole image, which needs 'squash'"
        )
    if task.max_classes is not None and len(labels) > task.max_classes:
        raise ExportError(f"{len(labels)} classes; {name} allows at most {task.max_classes}")
    classes = graph.net(graph.preprocess(torch.zeros(EXAMPLE_SHAPE, dtype=torch.uint8))).shape[1]
    if classes != len(labels):
        raise ExportError(f"the network answers {classes} classes; expected {len(labels)}, one per label")
