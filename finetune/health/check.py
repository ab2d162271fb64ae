"""Looking for everything that is wrong with a set of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import zoo
from finetune.config import DataSettings, get_section
from finetune.config.finetune import FinetuneSettings
from finetune.data import ImageSource, Splits
from finetune.data.copies import find_copies
from finetune.data.splits import Images, make_split, read_images
from finetune.experiment.setup import prepare
from finetune.features.extract import Features
from finetune.health.copies import find_repeated
from finetune.health.finding import Finding, sort_findings
from finetune.health.learned import find_by_features
from finetune.health.looks import find_imbalance, find_odd_looks
from finetune.probes.arithmetic import choose_arithmetic
from finetune.probes.network import network_features
from finetune.tasks import find_task
from zoo.errors import GraftError


@dataclass(frozen=True)
class Health:
    """What was found in the images of `where`: `images` of them in `classes`.

    `pictures` are the images of the findings by name. `notes` are sentences about what else is to be known.
    """

    where: str
    images: int
    classes: tuple[str, ...]
    findings: tuple[Finding, ...]
    pictures: Mapping[str, ImageSource]
    notes: tuple[str, ...]


def check_health(recipe: zoo.Spec) -> Health:
    """Return the findings about the recipe's images. Without pretrained weights, no labels are checked.

    Raises: DataError for data that cannot be read.
    """
    settings, task = get_section(recipe, DataSettings), find_task(recipe.task)
    images = read_images(settings.model_copy(update={"max_broken": 1.0}), task.target)
    items, classes = images.items, images.pool.classes
    splits = [split for split, part in images.pool.splits.items() for _ in part]
    named = splits if len(images.pool.splits) > 1 else [""] * len(items)
    findings = [
        Finding("broken", image=each.path, detail=each.reason, exclude=True) for each in images.broken
    ]
    findings += find_repeated(items, named, classes, find_copies(items))
    findings += find_odd_looks(items, classes)
    notes = [*images.pool.warnings]
    if task.target == "class":
        findings += find_imbalance(items, classes)
        try:
            features = _compute_features(recipe, images)
        except GraftError as error:
            notes.append(f"labels and unlike images were not checked: {error}")
        else:
            seed = get_section(recipe, FinetuneSettings).seed
            findings += find_by_features(items, features, classes, seed)
    findings = sort_findings(findings)
    by_name = {item.image.name: item.image for item in items}
    shown = {name: by_name[name] for each in findings for name in (each.image, each.other) if name in by_name}
    return Health(images.where, len(items), classes, tuple(findings), shown, tuple(notes))


def _compute_features(recipe: zoo.Spec, images: Images) -> Features:
    """Return the features of all images; what is cached is not computed again.

    Raises: GraftError without pretrained weights.
    """
    probing = zoo.override(recipe, {"finetune.strategy": "linear_probe"})
    none = make_split([])
    setup = prepare(probing, Splits(images.pool.classes, make_split(images.items), none, none))
    if setup.origin is None:
        raise GraftError(f"{recipe.name} has no pretrained weights ({setup.no_weights})")
    return network_features(choose_arithmetic(setup))
