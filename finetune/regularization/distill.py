"""Distillation: learning from the answers of a network that was trained before.

Source: Hinton, Vinyals & Dean 2015, arXiv:1503.02531.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from finetune.config import DataSettings, FinetuneSettings
from finetune.config.finetune import Distill
from finetune.experiment.setup import get_section
from finetune.models.rebuild import rebuild_net
from finetune.models.views import with_views
from finetune.records.run_folder import RunFolder, read_labels
from finetune.transforms.preprocess import Preprocess
from zoo.errors import GraftError


@dataclass(frozen=True)
class Teacher:
    """A trained network, how much its word counts, and how its inputs follow from the student's.

    Images are brought to the `size` (height, width) that the teacher was trained on; `scale` (1, C, 1, 1) and
    `shift`, the same or (1, C, height, width), turn pixels normalised for the student into those it knows.
    """

    net: nn.Module
    size: tuple[int, int]
    scale: Tensor
    shift: Tensor
    share: float
    temperature: float

    @torch.no_grad()
    def answer(self, inputs: Tensor) -> Tensor:
        """Logits (N, classes) for the student's normalised inputs (N, C, H, W)."""
        logits: Tensor = self.net(_resized(inputs, self.size) * self.scale + self.shift)
        return logits.float()

    def mix(self, loss: Tensor, logits: Tensor, answers: Tensor) -> Tensor:
        """The task's loss and the divergence from the teacher's softened answers, by `share`.

        In: () loss; logits of the student and of the teacher, (N, classes) or, of masks, (N, classes, H, W)
        each. Out: (). Of masks it is the mean over pixels, as the task's loss is.
        The square of the temperature keeps the gradient's size (section 2 of the paper).
        """
        heat, answers = self.temperature, _resized(answers, logits.shape[2:])
        soft = F.kl_div(
            F.log_softmax(logits.float() / heat, dim=1),
            F.log_softmax(answers / heat, dim=1),
            reduction="none",
            log_target=True,
        )
        return (1 - self.share) * loss + self.share * heat**2 * soft.sum(1).mean()


def _resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps (N, C, h, w) at another (height, width); what is of that size, or has none, as it is."""
    if maps.shape[2:] == tuple(size):
        return maps
    return F.interpolate(maps.float(), size=tuple(size), mode="bilinear", antialias=True)


def load_teacher(
    settings: Distill, classes: tuple[str, ...], student: Preprocess, device: torch.device
) -> Teacher:
    """The network of a finished run, ready to answer on `device`.

    Raises: GraftError when the folder holds no trained network, or one of other classes or channels.
    """
    folder = RunFolder(Path(settings.run).expanduser())
    where = f"finetune.distill.run: {folder.path}"
    if not folder.trained.exists():
        raise GraftError(f"{where} holds no trained network; expected the folder of a finished run")
    labels, spec = read_labels(folder), zoo.read_spec(folder.spec)
    if labels != classes or spec.input.channels != student.channels:
        raise GraftError(
            f"{where} knows {len(labels)} classes in {spec.input.channels} channels "
            f"({', '.join(labels[:3])} …); "
            f"expected the {len(classes)} of the data in {student.channels} ({', '.join(classes[:3])} …)"
        )
    if get_section(spec, DataSettings).normalise == "mean_image":
        raise GraftError(
            f"{where} was trained on images less their mean image, which its folder does not hold\n"
            "  expected: a teacher with data.normalise weights or training_set"
        )
    bare, training = zoo.build(spec, classes=len(classes)), json.loads(folder.trained.read_text())
    head = zoo.anatomy(spec, bare).head
    net = rebuild_net(bare, training, folder.weights, head=head, classes=len(classes))
    net = with_views(net, get_section(spec, FinetuneSettings).test_time)
    own = Preprocess(
        height=student.height,
        width=student.width,
        channels=student.channels,
        mean=spec.input.mean,
        std=spec.input.std,
    ).to(device)
    mean, std, size = student.mean.to(device), student.std.to(device), (spec.input.height, spec.input.width)
    shift = (mean - own.mean) / own.std
    return Teacher(
        net.to(device).eval().requires_grad_(False),
        size,
        std / own.std,
        shift if shift.shape[2:] == (1, 1) else _resized(shift, size),  # a mean image is of a size
        settings.share,
        settings.temperature,
    )
