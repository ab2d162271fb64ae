"""Distillation: learning from the answers of a network that was trained before.

Source: Hinton, Vinyals & Dean 2015, arXiv:1503.02531.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from finetune.ensembles.views import with_views
from finetune.folder import RunFolder, read_labels
from finetune.preprocess import Preprocess
from finetune.rebuild import rebuild_net
from finetune.settings import DataSettings, FinetuneSettings
from finetune.settings.finetune import Distill
from finetune.setup import section
from zoo.errors import GraftError


@dataclass(frozen=True)
class Teacher:
    """A trained network, how much its word counts, and how its inputs follow from the student's.

    `scale` and `shift`, (C, 1, 1), turn pixels normalised for the student into those the teacher knows.
    """

    net: nn.Module
    scale: Tensor
    shift: Tensor
    share: float
    temperature: float

    @torch.no_grad()
    def answer(self, inputs: Tensor) -> Tensor:
        """Logits (N, classes) for the student's normalised inputs (N, C, H, W)."""
        logits: Tensor = self.net(inputs * self.scale + self.shift)
        return logits.float()

    def mix(self, loss: Tensor, logits: Tensor, answers: Tensor) -> Tensor:
        """The task's loss and the divergence from the teacher's softened answers, by `share`.

        In: () loss; (N, classes) logits of the student and of the teacher. Out: ().
        The square of the temperature keeps the gradient's size (section 2 of the paper).
        """
        heat = self.temperature
        soft = F.kl_div(
            F.log_softmax(logits.float() / heat, dim=1),
            F.log_softmax(answers / heat, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return (1 - self.share) * loss + self.share * heat**2 * soft


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
    if section(spec, DataSettings).normalise == "mean_image":
        raise GraftError(
            f"{where} was trained on images less their mean image, which its folder does not hold\n"
            "  expected: a teacher with data.normalise weights or training_set"
        )
    bare, training = zoo.build(spec, classes=len(classes)), json.loads(folder.trained.read_text())
    head = zoo.anatomy(spec, bare).head
    net = rebuild_net(bare, training, folder.weights, head=head, classes=len(classes))
    net = with_views(net, section(spec, FinetuneSettings).test_time)
    own = Preprocess(
        height=student.height,
        width=student.width,
        channels=student.channels,
        mean=spec.input.mean,
        std=spec.input.std,
    ).to(device)
    mean, std = student.mean.to(device), student.std.to(device)
    return Teacher(
        net.to(device).eval().requires_grad_(False),
        std / own.std,
        (mean - own.mean) / own.std,
        settings.share,
        settings.temperature,
    )
