"""A spec's augmentation as a picture of the user's own images, to be looked at before training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console

import zoo
from finetune.config import AugmentSettings, DataSettings, FinetuneSettings
from finetune.data import Split
from finetune.data.dataset import ImageDataset
from finetune.experiment.setup import build_preprocess, choose_weights, get_section, load_data, read_recipe
from finetune.monitor.augment_sheet import augment_sheet
from finetune.runtime.console import own_console
from finetune.transforms.augment import needs_statistics
from finetune.transforms.defaults import default_augmentation, flip_warning
from finetune.transforms.statistics import measure_statistics

IMAGES = 3
RUNS = Path("runs")


def show_augment(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    out: str | Path | None = None,
    *,
    console: Console | None = None,
) -> Path:
    """Write a PNG of a few training images: the original and eight draws of each step, and of all together.

    `out` is `runs/<spec>/augment.png` unless given. No network is built. Raises: GraftError.
    """
    console = console or own_console()
    recipe = read_recipe(spec, data, set)
    settings = get_section(recipe, FinetuneSettings)
    splits = load_data(recipe)
    shape = network_input(recipe, settings)
    train = ImageDataset(splits.train, build_preprocess(shape), get_section(recipe, DataSettings).cache_mb)
    calls = get_section(recipe, AugmentSettings).calls
    if calls is None:
        calls = default_augmentation(splits.classes, (shape.height, shape.width))
        console.print("the spec names no augmentation; these are the steps of a run that is not told")
    statistics = measure_statistics(train.images()) if needs_statistics(calls) else None
    chosen = choose_images(splits.train, IMAGES)
    sheet = augment_sheet(train.stored.take(chosen), calls, statistics, settings.seed)
    path = Path(out).expanduser() if out is not None else RUNS / recipe.name / "augment.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG")
    warning = flip_warning(splits.classes, calls)
    if warning is not None:
        console.print(f"[yellow]warning[/yellow]: {warning}")
    shown = ", ".join(splits.train.images[index].name for index in chosen)
    console.print(f"[bold]{path}[/bold]: {len(calls)} steps on {shown}")
    return path


def choose_images(split: Split, count: int) -> list[int]:
    """The first image of each of at most so many classes, spread over all classes.

    Where images have no class of their own, as with masks: images spread over the split.
    """
    if split.masks:
        return sorted({int(index) for index in np.linspace(0, len(split) - 1, count)})
    classes, first = np.unique(split.targets, return_index=True)
    spread = np.unique(np.linspace(0, len(classes) - 1, min(count, len(classes))).round().astype(int))
    return [int(index) for index in first[spread]]


def network_input(recipe: zoo.Spec, settings: FinetuneSettings) -> zoo.Input:
    """The size and the resize rule that a run would have: those of its weights, where it has some."""
    chosen, _ = choose_weights(recipe, settings)
    if chosen is None:
        return recipe.input
    trained = zoo.trained_input(recipe, chosen).model_dump(exclude_none=True)
    return zoo.override(recipe, {f"input.{key}": value for key, value in trained.items()}).input
