"""Distillation: learning from the predictions of a network that was trained before.

Source: Hinton, Vinyals & Dean 2015, arXiv:1503.02531.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from files.paths import expand_home
from finetune.config import DataSettings, FinetuneSettings, get_section
from finetune.config.finetune import Distill
from finetune.data.dataset import ImageDataset
from finetune.data.pixels import Room
from finetune.experiment.setup import Setup, build_preprocess, stated_precision
from finetune.features.cache import FeatureCache, find_folder
from finetune.features.extract import extract_features, feature_key
from finetune.models.rebuild import rebuild_net
from finetune.models.tta import apply_test_time_augmentation
from finetune.records.files import read_record
from finetune.records.run_folder import RunFolder, read_labels
from finetune.records.training import TRAINING
from finetune.records.verify import open_run
from finetune.transforms.preprocess import Preprocess
from zoo.errors import GraftError


@dataclass(frozen=True)
class Teacher(ABC):
    """Predictions to learn from, and their weight in the loss."""

    settings: Distill

    @abstractmethod
    def predict(self, inputs: Tensor, rows: Sequence[int]) -> Tensor:
        """Return logits (N, classes), of masks (N, classes, h, w).

        In: the student's normalised inputs (N, C, H, W), and the indices of these images in the training
        split.
        """

    def blend(self, loss: Tensor, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Return the task's loss plus the divergence from the teacher's predictions, weighted by `share`.

        In: () loss; logits of student and teacher, (N, classes) or (N, classes, H, W). Out: (); for masks the
        mean over pixels. The square of the temperature keeps the scale of the gradient (section 2).
        """
        share, temperature = self.settings.share, self.settings.temperature
        teacher_logits = _resize(teacher_logits, logits.shape[2:])
        soft = F.kl_div(
            F.log_softmax(logits.float() / temperature, dim=1),
            F.log_softmax(teacher_logits / temperature, dim=1),
            reduction="none",
            log_target=True,
        )
        return (1 - share) * loss + share * temperature**2 * soft.sum(1).mean()


@dataclass(frozen=True)
class LiveTeacher(Teacher):
    """A trained network, which sees each batch as the student does.

    Images are resized to `size`, the (height, width) that the teacher was trained on. `scale` (1, C, 1, 1)
    and `shift`, the same or (1, C, height, width), turn the student's normalised pixels into the teacher's.
    """

    net: nn.Module
    size: tuple[int, int]
    scale: Tensor
    shift: Tensor

    @torch.no_grad()
    def predict(self, inputs: Tensor, rows: Sequence[int]) -> Tensor:
        """As Teacher.predict; `rows` are not used."""
        logits: Tensor = self.net(_resize(inputs, self.size) * self.scale + self.shift)
        return logits.float()


@dataclass(frozen=True)
class CachedTeacher(Teacher):
    """The predictions of a trained network for all training images, computed once: `logits` (N, classes)."""

    logits: Tensor

    def predict(self, inputs: Tensor, rows: Sequence[int]) -> Tensor:
        """As Teacher.predict; of `inputs`, only the device is used."""
        return self.logits[list(rows)].to(inputs.device)


def _resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize maps (N, C, h, w) to (height, width); other tensors are returned as they are."""
    if maps.shape[2:] == tuple(size):
        return maps
    return F.interpolate(maps.float(), size=tuple(size), mode="bilinear", antialias=True)


def find_teacher(setup: Setup, device: torch.device) -> Teacher | None:
    """Return the teacher that the spec names, ready to train with; None without one.

    Raises: as load_teacher and cache_predictions.
    """
    settings = setup.settings.distill
    if settings is None:
        return None
    if settings.cached:
        return cache_predictions(settings, setup, device)
    return load_teacher(settings, setup.classes, setup.preprocess, device)


def load_teacher(
    settings: Distill, classes: tuple[str, ...], student: Preprocess, device: torch.device
) -> LiveTeacher:
    """Load the network of a finished run to `device`.

    Raises: GraftError when the folder has no trained network, or one of other classes or channels.
    """
    run = _open_run(settings, classes, student.channels)
    net = apply_test_time_augmentation(run.net, get_section(run.spec, FinetuneSettings).test_time)
    return _adapt_inputs(
        net.to(device).eval().requires_grad_(False), run.spec.input, student, settings, device
    )


def cache_predictions(settings: Distill, setup: Setup, device: torch.device) -> CachedTeacher:
    """Compute the logits of a finished run's network for the setup's training images, without augmentation.

    The images pass its lower layers at the teacher's own size, unless their features are cached, as they are
    after a linear probe on the same images. Test-time augmentation is not applied.
    Raises: GraftError as load_teacher, and for a network whose last layer is not linear.
    """
    run = _open_run(settings, setup.classes, setup.preprocess.channels)
    last = dict(run.net.named_modules()).get(run.head)
    if not isinstance(last, nn.Linear):
        raise GraftError(
            f"finetune.distill.cached: the last layer of {run.folder.path} is not linear, or it has several "
            "networks\n  expected: another teacher, or finetune.distill.cached false"
        )
    preprocess = build_preprocess(run.spec.input)
    features = extract_features(
        run.net.to(device).eval(),
        ImageDataset(setup.train.split, preprocess, Room(0)),
        preprocess.to(device),
        head=run.head,
        precision=stated_precision(get_section(run.spec, FinetuneSettings), "features"),
        cache=FeatureCache(feature_key(run.net, run.head, preprocess), find_folder(setup.settings.cache)),
        digests=[image.digest() for image in setup.train.split.images],
    )
    with torch.no_grad():
        logits = last(torch.from_numpy(features.head_input).to(device))
    return CachedTeacher(settings, logits)


@dataclass(frozen=True)
class _Run:
    """A finished run: its spec, its trained network, and the path of the network's last layer."""

    folder: RunFolder
    spec: zoo.Spec
    net: nn.Module
    head: str


def _open_run(settings: Distill, classes: tuple[str, ...], channels: int) -> _Run:
    """Raises: GraftError as load_teacher."""
    folder = RunFolder(expand_home(settings.run))
    where = f"finetune.distill.run: {folder.path}"
    if not folder.trained.exists():
        raise GraftError(f"{where} has no trained network; expected the folder of a finished run")
    open_run(folder.path)
    labels, spec = read_labels(folder), zoo.read_spec(folder.spec)
    if labels != classes or spec.input.channels != channels:
        raise GraftError(
            f"{where} has {len(labels)} classes in {spec.input.channels} channels "
            f"({', '.join(labels[:3])} …); "
            f"expected the {len(classes)} of the data in {channels} ({', '.join(classes[:3])} …)"
        )
    if get_section(spec, DataSettings).normalise == "mean_image":
        raise GraftError(
            f"{where} was trained with data.normalise: mean_image, and its folder has no such image\n"
            "  expected: a teacher with data.normalise weights or training_set"
        )
    bare, training = zoo.build(spec, classes=len(classes)), read_record(folder.trained, TRAINING)
    head = zoo.anatomy(spec, bare).head
    net = rebuild_net(bare, training, folder.weights, head=head, classes=len(classes))
    return _Run(folder, spec, net, head)


def _adapt_inputs(
    net: nn.Module, shape: zoo.Input, student: Preprocess, settings: Distill, device: torch.device
) -> LiveTeacher:
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
    return LiveTeacher(
        settings,
        net,
        size,
        std / own.std,
        shift if shift.shape[2:] == (1, 1) else _resize(shift, size),  # a mean image
    )
