"""Measure pretrained weights on a folder of labelled images, so that a wrong network or input is seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from accelerate import PartialState
from torch import Tensor

import zoo
from finetune.config.data import DataSettings
from finetune.data.source import Item, Pool
from finetune.data.sources.folder import ClassFolders
from finetune.experiment.setup import build_preprocess
from finetune.records.estimate import wilson_interval
from finetune.transforms.preprocess import Preprocess
from pixels import ImageError
from zoo.pretrained.labels import find_labels

BATCH = 64
SHOWN = 10


@dataclass(frozen=True)
class Verification:
    """How many of the images of the classes that the weights know were recognised, among all their outputs.

    `folders` are those whose names are classes of the weights, `left_out` the others; `unreadable` counts
    images; `warnings` are those of loading the weights.
    """

    correct: int
    images: int
    outputs: int
    folders: tuple[str, ...]
    left_out: tuple[str, ...]
    unreadable: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """Share of the images that were recognised."""
        return self.correct / self.images

    def __str__(self) -> str:
        low, high = wilson_interval(self.accuracy, self.images)
        lines = [
            f"accuracy {self.accuracy:.4f}, 95% interval {low:.4f} to {high:.4f}: {self.correct:,} of "
            f"{self.images:,} images of {len(self.folders)} classes, among {self.outputs:,} outputs"
        ]
        if self.left_out:
            lines.append(f"left out, not classes of these weights: {_listed(self.left_out)}")
        if self.unreadable:
            lines.append(f"left out, not readable: {self.unreadable:,} images")
        if low <= 1 / self.outputs:
            lines.append(
                f"not clearly better than chance, 1 in {self.outputs}: the network, its input or the order "
                "of the labels is wrong, or the images are too few"
            )
        return "\n".join([*lines, *self.warnings])


def verify(spec: zoo.Spec, weights: str, folder: str | Path) -> Verification:
    """Measure an entry of a spec's weights on the images in `folder`, which has one folder per class.

    Images get the preprocessing that the weights were trained with. Of a folder with splits, the images for
    training are not used.

    Raises: GraftError where the weights cannot be loaded or the images cannot be read, WeightsError where no
    folder's name is a class of the weights.
    """
    if spec.task != "classification":
        raise zoo.WeightsError(f"{spec.path}: verify measures classification, but the task is {spec.task}")
    labels = find_labels(spec, weights)
    pool = ClassFolders(DataSettings(folder=str(folder))).find()
    outputs = match_classes(pool.classes, labels)
    matched = [item for item in _held_out(pool) if item.target in outputs]
    if not matched:
        raise zoo.WeightsError(
            f"{folder}: no folder with images has the name of a class of {spec.name}'s weights {weights}\n"
            f"  found:    {_listed(pool.classes)}\n  expected: {_listed(labels)}"
        )
    trained = zoo.trained_input(spec, weights).model_dump(exclude_none=True)
    spec = zoo.override(spec, {f"input.{key}": value for key, value in trained.items()})
    net, origin = zoo.load(spec, weights=weights, classes=len(labels))
    device = PartialState().device
    net.eval().to(device)
    preprocess = build_preprocess(spec.input).to(device)
    correct = images = 0
    with torch.inference_mode():
        for pixels, targets in _batches(matched, preprocess):
            found = net(preprocess.normalise(pixels)).argmax(dim=1).tolist()
            correct += sum(output == outputs[target] for output, target in zip(found, targets, strict=True))
            images += len(targets)
    if not images:
        raise zoo.GraftError(f"{folder}: none of the {len(matched):,} images can be read")
    folders = tuple(name for index, name in enumerate(pool.classes) if index in outputs)
    left_out = tuple(name for index, name in enumerate(pool.classes) if index not in outputs)
    warnings = origin.audit.warnings if origin else ()
    unreadable = len(matched) - images
    return Verification(correct, images, len(labels), folders, left_out, unreadable, warnings)


def match_classes(classes: Sequence[str], labels: Sequence[str]) -> dict[int, int]:
    """Return the output of each class whose name is that of one label; `_`, `-` and case do not matter.

    A label may be several names, separated by commas.
    """
    named: dict[str, set[int]] = {}
    for output, label in enumerate(labels):
        for name in (label, *label.split(",")):
            named.setdefault(_plain(name), set()).add(output)
    found = {index: named.get(_plain(name), set()) for index, name in enumerate(classes)}
    return {index: outputs.pop() for index, outputs in found.items() if len(outputs) == 1}


def _held_out(pool: Pool) -> Iterator[Item]:
    splits = [items for split, items in pool.splits.items() if split != "train"]
    return chain(*(splits or pool.splits.values()))


def _batches(items: Sequence[Item], preprocess: Preprocess) -> Iterator[tuple[Tensor, list[int]]]:
    """Yield uint8 images at the network's size, on its device, and their classes; skip unreadable images."""
    for start in range(0, len(items), BATCH):
        images, targets = [], []
        for item in items[start : start + BATCH]:
            try:
                pixels = torch.from_numpy(item.image.read()).to(preprocess.mean.device)
            except ImageError:
                continue
            images.append(preprocess.resize(pixels.permute(2, 0, 1)[None]))
            targets.append(item.target)
        if images:
            yield torch.cat(images), targets


def _plain(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").strip().casefold()


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return "; ".join(names[:SHOWN]) + more
