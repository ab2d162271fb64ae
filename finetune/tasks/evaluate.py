"""How good a network is on a split: one pass, every metric of the task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from finetune.data.dataset import ImageDataset, loader
from finetune.tasks.base import Task
from finetune.transforms.preprocess import Preprocess

Batches = Iterable[tuple[Tensor, Tensor]]

BATCH = 128


@torch.inference_mode()
def evaluate(
    forward: Callable[[Tensor], Tensor], batches: Batches, task: Task, classes: int, device: torch.device
) -> dict[str, object]:
    """Every metric of `task` and the mean loss.

    In: `forward` takes uint8 images (N, 3, h, w) to logits; `batches` yields those images and their
    targets. Out: plain numbers and lists, ready for JSON.
    """
    metrics = task.metrics(classes).to(device)
    loss_of = task.loss(0.0)
    loss, seen = torch.zeros((), dtype=torch.float64), 0
    for images, targets in batches:
        logits, truth = forward(images.to(device)).float(), targets.to(device)
        metrics.update(logits, truth)
        loss += loss_of(logits, truth).double().cpu() * len(images)
        seen += len(images)
    return {"loss": float(loss) / max(seen, 1)} | {
        name: value.tolist() if value.ndim else float(value) for name, value in metrics.compute().items()
    }


def evaluate_artifact(
    net: nn.Module, preprocess: Preprocess, dataset: ImageDataset, task: Task, classes: int
) -> dict[str, object]:
    """Every metric on a split in float32 on the processor: what the exported file will answer."""
    forward = _artifact(net, preprocess)
    return evaluate(forward, loader(dataset, BATCH), task, classes, torch.device("cpu"))


def logits_of(
    net: nn.Module, preprocess: Preprocess, dataset: ImageDataset
) -> Iterator[tuple[Tensor, Tensor]]:
    """What the exported file will answer: logits (N, classes) and targets (N,), batch by batch."""
    forward = _artifact(net, preprocess)
    for images, targets in loader(dataset, BATCH):
        yield forward(images), targets


def _artifact(net: nn.Module, preprocess: Preprocess) -> Callable[[Tensor], Tensor]:
    """The network in float32 on the processor, from uint8 (N, 3, h, w) to logits."""
    net, preprocess = net.float().cpu().eval(), preprocess.cpu()

    @torch.inference_mode()
    def forward(images: Tensor) -> Tensor:
        logits: Tensor = net(preprocess.normalise(images))
        return logits

    return forward


def by_class(metrics: Mapping[str, object], classes: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """The metrics that hold one number a class, turned round: class -> metric -> number."""
    lists = {
        name: value
        for name, value in metrics.items()
        if isinstance(value, list) and len(value) == len(classes) and all(isinstance(v, float) for v in value)
    }
    return {
        label: {name: values[index] for name, values in lists.items()} for index, label in enumerate(classes)
    }
