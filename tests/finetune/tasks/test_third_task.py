"""A new task is one class for training and one for serving: nothing else has to know it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torchmetrics
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

import zoo
from finetune.api import run
from finetune.data.dataset import ImageDataset
from finetune.data.source import SOURCES, Item, Pool, Source, source
from finetune.data.sources.builtin import Digits
from finetune.losses.registry import LIMITS, LOSSES, Loss, LossContext, loss
from finetune.metrics.registry import METRICS, metric
from finetune.tasks import TASKS, Task, register
from serve import Predictor
from serve.tasks import Output
from serve.tasks import Task as ServeTask
from serve.tasks import base as serve_base
from serve.tasks.comparison import Difference, Pair, Parity

LABELS = ("even", "large", "prime")
SPEC = """
name: tags
task: multilabel
input: {channels: 1, height: 8, width: 8}
classes: 3
layers:
  conv: {conv: {out: 8, kernel: 3}}
  act: relu
  flatten: flatten
  fc: {linear: {out: $classes}}
data: {val: 0.1, test: 0.1}
augment: []
finetune: {batch_size: 32, epochs: 3, precision: float32}
export: {parity_images: 8}
"""


class TaggedDigits(Source):
    """The built-in digits; a digit may be even, large and prime at once."""

    def __init__(self, settings: Any) -> None:  # noqa: ANN401
        self.digits = Digits(settings)
        self.where = self.digits.where

    def find(self) -> Pool:
        found = self.digits.find().splits["train"]
        tags = [[digit % 2 == 0, digit > 4, digit in (2, 3, 5, 7)] for digit in range(10)]
        return Pool(LABELS, {"train": [Item(item.image, [*map(int, tags[item.target])]) for item in found]})

    def open(self, key: str, target: Any) -> Item:  # noqa: ANN401
        return Item(self.digits.open_image(key), target)

    def check(self, pool: Pool) -> None:
        assert pool.splits["train"]


class TaggedDataset(ImageDataset):
    target_dtype = torch.float32


class Multilabel(Task):
    """Any number of labels per image. Targets: 0 or 1 for each label (N, classes)."""

    name = "multilabel"
    target = "tags"
    metrics = ("tag_accuracy", "tag_recall")
    score = "tag_accuracy"
    per_class = ("tag_recall",)
    default_loss = "tag_cross_entropy"
    refuses = ("mixup", "cutmix", "distill")

    def dataset_type(self) -> type[ImageDataset]:
        return TaggedDataset

    def correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        return ((logits > 0) == (targets > 0)).double().mean(dim=1)

    def answer(self, logits: Tensor, image: Tensor) -> Tensor:
        return logits.sigmoid()

    def margin(self, logits: Tensor, image: Tensor) -> Tensor:
        return (2 * logits.sigmoid() - 1).abs()

    def chance_loss(self, classes: int) -> float:
        return float(np.log(2))


class ServedMultilabel(ServeTask):
    """The output is float32 (batch, classes), each from 0 to 1."""

    name = "multilabel"
    output = Output("tags", "tensor(float)", 2)
    score = ("tag_accuracy", "accuracy of the tags")
    value_name = "probability"

    def values(self, output: NDArray[Any], _classes: int) -> NDArray[np.floating[Any]]:
        return output

    def check_output(self, output: NDArray[Any], images: Sequence[int], classes: int) -> str:
        return "" if output.shape == (images[0], classes) else f"it answers {output.shape}"

    def compare(self, pair: Pair, _labels: Sequence[str]) -> Difference:
        difference = float(np.abs(pair.actual - pair.expected).max())
        return Difference(pair.name, bool(pair.margin.max() > 0), difference)

    def summary(self, parity: Parity) -> str:
        return f"checked on {parity.images} images"


def tag_cross_entropy(context: LossContext) -> Loss:
    """Binary cross-entropy of each label."""
    return F.binary_cross_entropy_with_logits


def tag_accuracy(classes: int, ignore_index: int | None) -> torchmetrics.Metric:
    """Share of labels that are right."""
    return torchmetrics.classification.MultilabelAccuracy(classes)


def tag_recall(classes: int, ignore_index: int | None) -> torchmetrics.Metric:
    """Recall of each label."""
    return torchmetrics.classification.MultilabelRecall(classes, average="none")


@pytest.fixture
def multilabel() -> Iterator[None]:
    """Register the task in here, and nowhere else."""
    registries = (
        TASKS,
        SOURCES,
        LIMITS,
        LOSSES._entries,
        METRICS._entries,
        serve_base._TASKS,
    )
    with ExitStack() as stack:
        for registry in registries:
            stack.enter_context(patch.dict(registry))
        register(Multilabel)
        source("builtin", target="tags")(TaggedDigits)
        loss(targets=("tags",))(tag_cross_entropy)
        metric(tag_accuracy)
        metric(tag_recall)
        serve_base.register(ServedMultilabel)
        yield


def test_a_third_task_trains_is_exported_and_served(multilabel: None, tmp_path: Path) -> None:
    (tmp_path / "tags.yaml").write_text(SPEC)
    report = run(tmp_path / "tags.yaml", run=tmp_path / "run", console=Console(quiet=True))
    assert report.metrics["tag_accuracy"] > 0.8  # at least 0.5 by chance
    assert set(report.report.classes) == set(LABELS)
    assert set(report.report.classes["even"]) == {"tag_recall"}
    seven = Digits.__new__(Digits).open_image("digits/7").read()
    answer = dict(Predictor(report.onnx)(seven))
    assert {label: value > 0.5 for label, value in answer.items()} == {
        "even": False,
        "large": True,
        "prime": True,
    }


def test_a_task_that_nobody_registered_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tags.yaml").write_text(SPEC.replace("multilabel", "segmentatoin"))
    with pytest.raises(zoo.SpecError, match="did you mean 'segmentation'"):
        zoo.read_spec(tmp_path / "tags.yaml")


def test_a_name_is_taken_once(multilabel: None) -> None:
    with pytest.raises(ValueError, match="registered twice"):
        register(Multilabel)
    with pytest.raises(ValueError, match="registered twice"):
        source("builtin", target="tags")(TaggedDigits)
