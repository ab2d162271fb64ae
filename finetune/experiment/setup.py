"""What a run works on, put together once from the spec: data, network, preprocessing, task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

import zoo
from finetune.config import AugmentSettings, DataSettings, FinetuneSettings
from finetune.config.data import with_source
from finetune.data import Split, Splits
from finetune.data.dataset import ImageDataset
from finetune.experiment.spec_check import check_files, check_spec
from finetune.strategies import find_strategy
from finetune.tasks.base import Task, find_task
from finetune.transforms.augment import LazyAugment, needs_statistics
from finetune.transforms.defaults import default_augmentation, flip_warning
from finetune.transforms.preprocess import Preprocess
from finetune.transforms.statistics import measure_statistics
from zoo.errors import GraftError

OF_TRAINING_SET = ("training_set", "mean_image")
Section = TypeVar("Section")


@dataclass(frozen=True)
class Setup:
    """Everything a plan is made from and a strategy works on.

    `spec` is resolved: it holds the data's number of classes and the preprocessing in numbers. `origin` says
    where the pretrained weights come from; None without them, and then `no_weights` says why.
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
        """What the user should know before training, in sentences."""
        calls, views = get_section(self.spec, AugmentSettings).calls or (), self.settings.test_time
        flips = flip_warning(self.classes, calls, at_test_time=views is not None)
        lost = self.origin.audit.warnings if self.origin is not None else ()
        return (*self.splits.warnings, *lost, *([flips] if flips else []))

    @property
    def settings(self) -> FinetuneSettings:
        """The spec's `finetune` section."""
        return get_section(self.spec, FinetuneSettings)

    @property
    def data(self) -> DataSettings:
        """The spec's `data` section."""
        return get_section(self.spec, DataSettings)


def get_section(spec: zoo.Spec, kind: type[Section]) -> Section:
    """The spec's section of that type."""
    return next(value for value in spec.sections.values() if isinstance(value, kind))


def read_recipe(
    path: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
) -> zoo.Spec:
    """The spec at `path` with the user's overrides, reading `data` in place of its own images.

    Raises: zoo.SpecError with every mistake in the file and the overrides, before any image is read.
    """
    given = dict(set or {})
    spec = zoo.read_spec(path, given)
    check_spec(spec)
    check_files(spec)
    if data is None:
        return spec
    source = with_source(get_section(spec, DataSettings), data).model_dump(mode="json")
    kept = {key: value for key, value in given.items() if key.split(".")[0] != "data"}
    return zoo.read_spec(path, kept | {"data": source})


def load_data(spec: zoo.Spec) -> Splits:
    """Return the splits of the spec's images, cut by the spec's seed. Raises: DataError."""
    return find_task(spec.task).load(
        get_section(spec, DataSettings), get_section(spec, FinetuneSettings).seed
    )


def prepare(spec: zoo.Spec, splits: Splits) -> Setup:
    """Network, weights, preprocessing and images at the network's size.

    Raises: GraftError for weights that are asked for and cannot be had.
    """
    settings = get_section(spec, FinetuneSettings)
    task = find_task(spec.task)
    chosen, no_weights = choose_weights(spec, settings)
    spec = _settle(spec, chosen, len(splits.classes))
    net, origin = zoo.load(spec, weights=chosen, seed=settings.seed)
    spec, preprocess, train, val, test = _images(spec, splits)
    return Setup(
        spec=spec,
        task=task,
        splits=splits,
        net=net,
        anatomy=zoo.anatomy(spec, net),
        preprocess=preprocess,
        train=train,
        val=val,
        test=test,
        origin=origin,
        no_weights=no_weights,
    )


def choose_weights(spec: zoo.Spec, settings: FinetuneSettings) -> tuple[str | None, str]:
    """Which of the spec's weights to start from, or None and the reason.

    `auto` takes `default` where it is to hand, else the first that is; it never downloads. From scratch it
    takes none.
    Raises: zoo.WeightsError for a name that the spec does not have.
    """
    wanted = settings.weights
    if wanted == "none":
        return None, "finetune.weights is none"
    if wanted != "auto":
        return wanted, ""
    if settings.strategy != "auto" and not find_strategy(settings.strategy).pretrained:
        return None, f"finetune.strategy is {settings.strategy}"
    ready = zoo.available_weights(spec)
    if ready:
        return ("default" if "default" in ready else ready[0]), ""
    if not spec.weights:
        return None, f"{spec.name} declares none"
    return (
        None,
        f"{', '.join(spec.weights)} not on this machine; `python -m zoo pull {spec.name}` fetches them",
    )


def _settle(spec: zoo.Spec, weights: str | None, classes: int) -> zoo.Spec:
    """The spec with the data's classes, its weights' name, and the preprocessing of these."""
    normalise = get_section(spec, DataSettings).normalise
    if weights is None and normalise == "weights":
        raise GraftError(
            f"{spec.name}: data.normalise is weights, and the run starts without any\n"
            "  expected: data.normalise training_set or mean_image, or weights to start from"
        )
    trained = {} if weights is None else zoo.trained_input(spec, weights).model_dump(exclude_none=True)
    known = {f"input.{key}": value for key, value in trained.items()}
    if normalise in OF_TRAINING_SET:
        known |= {"input.mean": None, "input.std": None}
    return zoo.override(spec, {"classes": classes, "finetune.weights": weights or "none", **known})


def restore_spec(spec: zoo.Spec) -> zoo.Spec:
    """The spec that a run left behind, to set the run up again: its normalisation stands in it as numbers.

    A mean image does not: it is taken from the training images again.
    """
    known: dict[str, object] = {"finetune.weights": "none"}
    if get_section(spec, DataSettings).normalise != "mean_image":
        known["data.normalise"] = "auto"
    return zoo.override(spec, known)


def build_preprocess(shape: zoo.Input, mean_image: Tensor | None = None) -> Preprocess:
    """The module that every image passes on its way into the network."""
    return Preprocess(
        height=shape.height,
        width=shape.width,
        channels=shape.channels,
        resize=shape.resize,
        mean=shape.mean if mean_image is None else mean_image,
        std=shape.std,
    )


def _images(
    spec: zoo.Spec, splits: Splits
) -> tuple[zoo.Spec, Preprocess, ImageDataset, ImageDataset, ImageDataset]:
    """The splits at the network's size, training images augmented; the spec with normalisation in numbers."""
    settings, data = get_section(spec, FinetuneSettings), get_section(spec, DataSettings)
    preprocess = build_preprocess(spec.input)

    def dataset(split: Split) -> ImageDataset:
        return find_task(spec.task).dataset(split, preprocess, cache_mb=data.cache_mb, seed=settings.seed)

    train, size = dataset(splits.train), (spec.input.height, spec.input.width)
    calls = get_section(spec, AugmentSettings).calls
    if calls is None:
        calls = default_augmentation(splits.classes, size)
        spec = zoo.override(spec, {"augment": [{call.op: call.args} for call in calls]})
    statistics, mean_image = None, None
    centred = data.normalise == "mean_image"
    if spec.input.mean is None or spec.input.std is None or needs_statistics(calls) or centred:
        statistics = measure_statistics(train.images())
    if statistics is not None and (spec.input.mean is None or spec.input.std is None):
        mean, std = statistics.normalisation(spec.input.channels)
        spec = zoo.override(spec, {"input.mean": list(mean), "input.std": list(std)})
    if statistics is not None and centred:
        mean_image = torch.from_numpy(statistics.mean_pixels(spec.input.channels))
    train.augment = LazyAugment(tuple(calls), size, statistics) if calls else None
    preprocess = build_preprocess(spec.input, mean_image)
    return spec, preprocess, train, dataset(splits.val), dataset(splits.test)
