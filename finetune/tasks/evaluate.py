"""Evaluation of a network on a split: the loss and every metric of the task, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from finetune.data.dataset import ImageDataset, loader
from finetune.runtime.precision import EXACT, Precision, arranged
from finetune.tasks.base import Task
from finetune.transforms.preprocess import Preprocess

Batches = Iterable[tuple[Tensor, Tensor]]
Observer = Callable[[Tensor, Tensor], None]

MOST_IMAGES, MOST_PIXELS = 128, 2**21
"""Bounds on the images of a batch: efficientnet_lite0 at 224x224 is twice as fast on 41 of them as on 128."""
LAYOUT = Precision(channels_last=True)
"""Float32 as the exported file computes, up to rounding, and a little faster than channels first."""


@dataclass(frozen=True)
class Evaluation:
    """What a network achieves on a split.

    `numbers` holds the mean loss and every metric that is one number; `per_class` holds the task's metrics
    by class, label -> metric -> number; `score` is the metric that training maximises.
    """

    loss: float
    score: float
    numbers: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]]
    confusion: tuple[tuple[int, ...], ...] | None = None


@torch.inference_mode()
def evaluate(
    forward: Callable[[Tensor], Tensor],
    batches: Batches,
    task: Task,
    classes: Sequence[str],
    device: torch.device,
    *,
    observe: Observer | None = None,
) -> Evaluation:
    """Evaluate logits on a split; the loss is the mean over all targets that count.

    In: `forward` takes uint8 images (N, 3, h, w) to logits; `batches` yields such images and their targets;
    `observe` is called with the logits and targets of each batch.
    """
    metrics = task.build_metrics(len(classes)).to(device)
    loss_of = task.evaluation_loss()
    loss, counted = torch.zeros((), dtype=torch.float64), 0
    for images, targets in batches:
        logits, truth = forward(images.to(device)).float(), targets.to(device)
        metrics.update(logits, truth)
        if observe is not None:
            observe(logits, truth)
        count = targets.numel() if task.ignore_index is None else int(targets.ne(task.ignore_index).sum())
        loss += loss_of(logits, truth).double().cpu() * count
        counted += count
    found = {name: value.tolist() for name, value in metrics.compute().items()}
    numbers = {"loss": float(loss) / max(counted, 1)} | {
        name: value for name, value in found.items() if isinstance(value, float)
    }
    return Evaluation(
        loss=numbers["loss"],
        score=numbers[task.score],
        numbers=numbers,
        per_class={
            label: {name: found[name][index] for name in task.per_class}
            for index, label in enumerate(classes)
        },
        confusion=tuple(map(tuple, found["confusion"])) if "confusion" in found else None,
    )


def evaluate_artifact(
    net: nn.Module,
    preprocess: Preprocess,
    dataset: ImageDataset,
    task: Task,
    classes: Sequence[str],
    *,
    observe: Observer | None = None,
) -> Evaluation:
    """Evaluate a network on a split in float32 on the CPU, as the exported file computes.

    In: `observe` as `evaluate`.
    """
    with _artifact(net, preprocess) as forward:
        batches = loader(dataset, _batch_size(preprocess))
        return evaluate(forward, batches, task, classes, torch.device("cpu"), observe=observe)


def artifact_logits(
    net: nn.Module, preprocess: Preprocess, dataset: ImageDataset
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield what the exported file answers: logits (N, classes) and targets (N,), batch by batch."""
    with _artifact(net, preprocess) as forward:
        for images, targets in loader(dataset, _batch_size(preprocess)):
            yield forward(images), targets


@contextmanager
def _artifact(net: nn.Module, preprocess: Preprocess) -> Iterator[Callable[[Tensor], Tensor]]:
    """Give the network in float32 on the CPU, as a function from uint8 (N, 3, h, w) to logits."""
    net, preprocess = net.float().cpu().eval(), preprocess.cpu()
    EXACT.arrange_weights(net)

    @torch.inference_mode()
    def forward(images: Tensor) -> Tensor:
        logits: Tensor = net(LAYOUT.arrange(preprocess.normalise(images)))
        return logits

    with arranged(net, LAYOUT):
        yield forward


def _batch_size(preprocess: Preprocess) -> int:
    """Return how many images are evaluated at once."""
    return max(1, min(MOST_IMAGES, MOST_PIXELS // (preprocess.height * preprocess.width)))
