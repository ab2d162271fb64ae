"""One class per image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finetune.tasks.base import Task, register

if TYPE_CHECKING:
    from torch import Tensor

    from finetune.data.dataset import ImageDataset


@register
class Classification(Task):
    """One class per image. Targets: class indices (N,), or distributions (N, classes) of mixed images."""

    name = "classification"
    metrics = (
        "accuracy",
        "balanced_accuracy",
        "f1",
        "recall",
        "precision",
        "confusion",
        "calibration_error",
    )
    score = "accuracy"
    per_class = ("recall", "precision")
    probes = True
    probabilities = True

    def dataset_type(self) -> type[ImageDataset]:
        from finetune.data.dataset import ImageDataset

        return ImageDataset

    def correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (logits.argmax(dim=1) == targets).double()

    def answer(self, logits: Tensor, image: Tensor) -> Tensor:
        """Return the probability of each class, float32 (N, classes)."""
        return logits.softmax(dim=1)

    def describe_target(self, target: object, classes: tuple[str, ...]) -> str:
        return classes[int(str(target))]
