"""Distillation: learning from the predictions of a network that was trained before.

Source: Hinton, Vinyals & Dean 2015, arXiv:1503.02531.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from files.paths import expand_home
from finetune.config import DataSettings, FinetuneSettings, get_section
from finetune.config.finetune import Distill
from finetune.models.rebuild import rebuild_net
from finetune.models.tta import apply_test_time_augmentation
from finetune.records.files import read_record
from finetune.records.run_folder import RunFolder, read_labels
from finetune.records.training import TRAINING
from finetune.records.verify import open_run
from finetune.transforms.preprocess import Preprocess
from zoo.errors import GraftError


@dataclass(frozen=True)
class Teacher:
    """A trained network, the weight of its predictions, and how to convert the student's inputs for it.

    Images are resized to `size`, the (height, width) that the teacher was trained on. `scale` (1, C, 1, 1)
    and `shift`, the same or (1, C, height, width), turn the student's normalised pixels into the teacher's.
    """

    net: nn.Module
    size: tuple[int, int]
    scale: Tensor
    shift: Tensor
    share: float
    temperature: float

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Return logits (N, classes) for the student's normalised inputs (N, C, H, W)."""
        logits: Tensor = self.net(_resize(inputs, self.size) * self.scale + self.shift)
        return logits.float()

    def blend(self, loss: Tensor, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Return the task's loss plus the divergence from the teacher's predictions, weighted by `share`.

        In: () loss; logits of student and teacher, (N, classes) or (N, classes, H, W). Out: (); for masks the
        mean over pixels. The square of the temperature keeps the scale of the gradient (section 2).
        """
        temperature, teacher_logits = self.temperature, _resize(teacher_logits, logits.shape[2:])
        soft = F.kl_div(
            F.log_softmax(logits.float() / temperature, dim=1),
            F.log_softmax(teacher_logits / temperature, dim=1),
            reduction="none",
            log_target=True,
        )
        return (1 - self.share) * loss + self.share * temperature**2 * soft.sum(1).mean()


def _resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize maps (N, C, h, w) to (height, width); other tensors are returned as they are."""
    if maps.shape[2:] == tuple(size):
        return maps
    return F.interpolate(maps.float(), size=tuple(size), mode="bilinear", antialias=True)


def load_teacher(
    settings: Distill, classes: tuple[str, ...], student: Preprocess, device: torch.device
) -> Teacher:
    """Load the network of a finished run to `device`.

    Raises: GraftError when the folder has no trained network, or one of other classes or channels.
    """
    folder = RunFolder(expand_home(settings.run))
    where = f"finetune.distill.run: {folder.path}"
    if not folder.trained.exists():
        raise GraftError(f"{where} has no trained network; expected the folder of a finished run")
    open_run(folder.path)
    labels, spec = read_labels(folder), zoo.read_spec(folder.spec)
    if labels != classes or spec.input.channels != student.channels:
        raise GraftError(
            f"{where} has {len(labels)} classes in {spec.input.channels} channels "
            f"({', '.join(labels[:3])} …); "
            f"expected the {len(classes)} of the data in {student.channels} ({', '.join(classes[:3])} …)"
        )
    if get_section(spec, DataSettings).normalise == "mean_image":
        raise GraftError(
            f"{where} was trained with data.normalise: mean_image, and its folder has no such image\n"
            "  expected: a teacher with data.normalise weights or training_set"
        )
    bare, training = zoo.build(spec, classes=len(classes)), read_record(folder.trained, TRAINING)
    head = zoo.anatomy(spec, bare).head
    net = rebuild_net(bare, training, folder.weights, head=head, classes=len(classes))
    net = apply_test_time_augmentation(net, get_section(spec, FinetuneSettings).test_time)
    return _adapt_inputs(net.to(device).eval().requires_grad_(False), spec.input, student, settings, device)


def _adapt_inputs(
    net: nn.Module, shape: zoo.Input, student: Preprocess, settings: Distill, device: torch.device
) -> Teacher:
    """Return a teacher that takes the student's normalised pixels."""
    own = Preprocess(
        height=student.height,
        width=student.width,
        channels=student.channels,
        mean=shape.mean,
        std=shape.std,
    ).to(device)
    mean, std, size = student.mean.to(device), student.std.to(device), (shape.height, shape.width)
    shift = (mean - own.mean) / own.std
    return Teacher(
        net,
        size,
        std / own.std,
        shift if shift.shape[2:] == (1, 1) else _resize(shift, size),  # a mean image
        settings.share,
        settings.temperature,
    )
