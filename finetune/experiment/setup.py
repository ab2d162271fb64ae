"""What a run works on, prepared once from the spec: data, network, preprocessing, task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

import zoo
from finetune.config import AugmentSettings, DataSettings, FinetuneSettings, get_section
from finetune.config.finetune import PrecisionSettings
from finetune.data import Split, Splits
from finetune.data.dataset import ImageDataset
from finetune.data.pixels import Room
from finetune.data.shared_memory import shared_memory_warning
from finetune.experiment.recipe import choose_weights, fetch_weights
from finetune.runtime.memory import keep_freed_memory
from finetune.runtime.precision import EXACT, Precision
from finetune.runtime.threads import limit_threads
from finetune.tasks import Task, find_task
from finetune.transforms.augment import LazyAugment, needs_statistics
from finetune.transforms.defaults import default_augmentation, flip_warning
from finetune.transforms.preprocess import Preprocess
from finetune.transforms.statistics import Statistics, measure_statistics
from zoo.errors import GraftError


@dataclass(frozen=True)
class Setup:
    """Everything that a plan is made from and a strategy works on.

    `spec` is resolved: it holds the data's number of classes, and the preprocessing as numbers. `origin` says
    where the pretrained weights come from; without weights it is None, and `no_weights` is the reason.
    """

    spec: zoo.Spec
    task: Task
    splits: Splits
    net: nn.Module
    anatomy: zoo.Anatomy
    preprocess: Preprocess
    train: ImageDataset
    val: ImageDataset
    test: ImageDataset
    origin: zoo.Origin | None
    no_weights: str

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the network's outputs."""
        return self.splits.classes

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that the user should read before training."""
        calls = get_section(self.spec, AugmentSettings).calls or ()
        flips = flip_warning(self.splits.given_names, calls, at_test_time=self.settings.test_time is not None)
        of_weights = self.origin.audit.warnings if self.origin is not None else ()
        memory = shared_memory_warning(self.train.stored.kept_bytes, self.data.workers)
        return (*self.splits.warnings, *of_weights, *(warning for warning in (flips, memory) if warning))

    @property
    def settings(self) -> FinetuneSettings:
        """The spec's `finetune` section."""
        return get_section(self.spec, FinetuneSettings)

    @property
    def features_precision(self) -> Precision:
        """The arithmetic of the frozen pass, as the spec states it."""
        return stated_precision(self.settings, "features")

    @property
    def training_precision(self) -> Precision:
        """The arithmetic of training, as the spec states it."""
        return stated_precision(self.settings, "training")

    @property
    def data(self) -> DataSettings:
        """The spec's `data` section."""
        return get_section(self.spec, DataSettings)


def stated_precision(settings: FinetuneSettings, use: Literal["features", "training"]) -> Precision:
    """Return the arithmetic of the frozen pass or of training, as the spec of a run states it."""
    stated = settings.precision
    if stated == "float32":
        return EXACT
    assert isinstance(stated, PrecisionSettings), "the arithmetic is chosen before anything is computed"
    return Precision.named(getattr(stated, use))


def prepare(spec: zoo.Spec, splits: Splits) -> Setup:
    """Build the network, load its weights, and bring the images to the network's size.

    Raises: GraftError for weights that cannot be downloaded or loaded.
    """
    limit_threads()
    keep_freed_memory()
    fetch_weights(spec)
    task, weights_and_reason = find_task(spec.task), choose_weights(spec)
    weights, no_weights = weights_and_reason
    spec = resolve_input(spec, weights, len(splits.classes))
    spec = _resolve_augmentation(spec, splits.given_names)
    settings, data = get_section(spec, FinetuneSettings), get_section(spec, DataSettings)
    net, origin = zoo.load(spec, weights=weights, seed=settings.seed)
    resize, dataset_type, room = build_preprocess(spec.input), task.dataset_type(), Room(data.cache_mb)

    def dataset(split: Split) -> ImageDataset:
        return dataset_type(split, resize, room, seed=settings.seed)

    train = dataset(splits.train)
    statistics = measure_statistics(train.images()) if _needs_statistics(spec) else None
    spec = _resolve_normalisation(spec, statistics)
    train.augment = _build_augment(spec, statistics)
    return Setup(
        spec=spec,
        task=task,
        splits=splits,
        net=net,
        anatomy=zoo.anatomy(spec, net),
        preprocess=build_preprocess(spec.input, _mean_image(spec, statistics)),
        train=train,
        val=dataset(splits.val),
        test=dataset(splits.test),
        origin=origin,
        no_weights=no_weights,
    )


def build_preprocess(shape: zoo.Input, mean_image: Tensor | None = None) -> Preprocess:
    """Return the module that resizes and normalises every image for the network."""
    return Preprocess(
        height=shape.height,
        width=shape.width,
        channels=shape.channels,
        resize=shape.resize,
        mean=shape.mean if mean_image is None else mean_image,
        std=shape.std,
    )


def resolve_input(spec: zoo.Spec, weights: str | None, classes: int) -> zoo.Spec:
    """Write the number of classes, the weights' name and their preprocessing into the spec."""
    normalise = get_section(spec, DataSettings).normalise
    if weights is None and normalise == "weights":
        raise GraftError(
            f"{spec.name}: data.normalise is weights, and the run starts without any\n"
            "  expected: data.normalise training_set or mean_image, or weights to start from"
        )
    trained = {} if weights is None else zoo.trained_input(spec, weights).model_dump(exclude_none=True)
    values = {f"input.{key}": value for key, value in trained.items()}
    if normalise in ("training_set", "mean_image"):
        values |= {"input.mean": None, "input.std": None}
    return zoo.override(spec, {"classes": classes, "finetune.weights": weights or "none", **values})


def _resolve_augmentation(spec: zoo.Spec, classes: tuple[str, ...]) -> zoo.Spec:
    """Write the default augmentation into a spec that names none."""
    if get_section(spec, AugmentSettings).calls is not None:
        return spec
    calls = default_augmentation(classes, (spec.input.height, spec.input.width))
    return zoo.override(spec, {"augment": [{call.op: call.args} for call in calls]})


def _needs_statistics(spec: zoo.Spec) -> bool:
    unknown = spec.input.mean is None or spec.input.std is None
    mean_image = get_section(spec, DataSettings).normalise == "mean_image"
    return unknown or mean_image or needs_statistics(get_section(spec, AugmentSettings).calls or ())


def _resolve_normalisation(spec: zoo.Spec, statistics: Statistics | None) -> zoo.Spec:
    """Write the training images' mean and deviation into a spec that has none."""
    if statistics is None or (spec.input.mean is not None and spec.input.std is not None):
        return spec
    mean, std = statistics.normalisation(spec.input.channels)
    return zoo.override(spec, {"input.mean": list(mean), "input.std": list(std)})


def _mean_image(spec: zoo.Spec, statistics: Statistics | None) -> Tensor | None:
    if statistics is None or get_section(spec, DataSettings).normalise != "mean_image":
        return None
    return torch.from_numpy(statistics.mean_pixels(spec.input.channels))


def _build_augment(spec: zoo.Spec, statistics: Statistics | None) -> LazyAugment | None:
    calls = get_section(spec, AugmentSettings).calls
    return LazyAugment(tuple(calls), (spec.input.height, spec.input.width), statistics) if calls else None
