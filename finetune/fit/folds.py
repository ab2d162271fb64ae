"""Cross-validation: which image is held out when, and training on all others without a choice of epoch.

No image helps to choose the state of a network that is asked about it: each training runs for all epochs of
the plan, and its last weights are the result.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import zoo
from finetune.data.alike import find_alike
from finetune.data.cut import place_of
from finetune.data.dataset import ImageDataset
from finetune.data.look import look_at
from finetune.data.source import shorten_list
from finetune.data.subset import join, subset
from finetune.engine.build import build_trainer
from finetune.experiment.setup import Setup
from finetune.fit.callbacks import train
from finetune.fit.refit import Refit
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.records.training import GradientTraining
from zoo.errors import GraftError

Rows = NDArray[np.int64]


class FewImagesError(GraftError):
    """A class has fewer different images than there are folds; `least` is the fewest of a class."""

    def __init__(self, message: str, least: int) -> None:
        super().__init__(message)
        self.least = least


@dataclass(frozen=True)
class Folds:
    """The images of training and validation (N), and the fold in which each is held out, (N,) from 0."""

    images: ImageDataset
    numbers: Rows
    count: int

    def held_out(self, fold: int) -> Rows:
        """Return the rows that are held out in a fold."""
        return np.flatnonzero(self.numbers == fold)

    @property
    def plain(self) -> ImageDataset:
        """The images without augmentation."""
        return replace(self.images, augment=None)


def deal_folds(setup: Setup) -> Folds | None:
    """Return the folds that the spec asks for; None where it asks for none.

    Copies of one picture are in one fold. Raises: FewImagesError where a class has fewer pictures than folds.
    """
    count = setup.settings.folds
    if count is None:
        return None
    images = join(setup.train, setup.val)
    groups = _group_copies(images)
    return Folds(images, deal(images.split.strata, groups, count, setup.classes, setup.settings.seed), count)


def deal(strata: Rows, groups: dict[str, list[int]], count: int, classes: tuple[str, ...], seed: int) -> Rows:
    """Return the fold of each image, (N,): every class is spread evenly, and a group is in one fold.

    In: the class of each image (N,), and the rows of each group by its name, from which its place follows.
    Raises: FewImagesError where a class has fewer groups than there are folds.
    """
    by_class: dict[int, list[str]] = defaultdict(list)
    for name in sorted(groups, key=lambda name: place_of(name, seed)):
        by_class[int(strata[groups[name][0]])].append(name)
    few = {label: len(by_class[label]) for label in range(len(classes)) if len(by_class[label]) < count}
    if few:
        listed = shorten_list(f"{classes[label]} ({number})" for label, number in few.items())
        least = min(few.values())
        instead = f"finetune.folds {least} at most, or more images" if least > 1 else "more images"
        raise FewImagesError(
            f"finetune.folds: {count} needs {count} different images or more in each class for training and "
            f"validation; too few in {listed}\n  expected: {instead}",
            least,
        )
    numbers, turn = np.zeros(len(strata), np.int64), 0
    for label in sorted(by_class):
        for name in by_class[label]:
            numbers[groups[name]] = turn % count
            turn += 1
    return numbers


def fold_setup(setup: Setup, folds: Folds, fold: int) -> Setup:
    """Return the setup with a copy of its network that learns from all images but those of one fold.

    The checks before training are made for the first fold only.
    """
    seed, held_out = setup.settings.seed, folds.held_out(fold)
    keys: dict[str, object] = {"finetune.trackers": []} | ({"finetune.checks": "none"} if fold else {})
    return replace(
        setup,
        spec=zoo.override(setup.spec, keys),
        net=copy.deepcopy(setup.net),
        train=subset(folds.images, np.flatnonzero(folds.numbers != fold), seed=seed),
        val=subset(folds.plain, held_out, seed=seed),
    )


def use_all(setup: Setup) -> Setup:
    """Return the setup that learns from the validation images too, where the spec has folds."""
    if setup.settings.folds is None:
        return setup
    return replace(setup, train=join(setup.train, setup.val))


def share_budget(setup: Setup) -> Setup:
    """Return the setup with the time for one of its trainings, of which there are one more than folds."""
    budget, folds = setup.settings.budget_minutes, setup.settings.folds
    if budget is None or folds is None:
        return setup
    return replace(setup, spec=zoo.override(setup.spec, {"finetune.budget_minutes": budget / (folds + 1)}))


def train_on_all(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> GradientTraining:
    """Train the setup's network for all epochs of the plan; its last weights are the result."""
    unwatched = replace(setup, spec=zoo.override(setup.spec, {"finetune.monitor": "none"}))
    ended = train(Refit(**vars(build_trainer(unwatched, plan, folder, console))))
    return GradientTraining(ended.epoch, ended.epoch, ended.step)


def _group_copies(images: ImageDataset) -> dict[str, list[int]]:
    """Return the rows of each picture by the digest of one of its files; the pixels are in memory anyway."""
    from scipy.sparse import coo_matrix  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    digests = [image.digest() for image in images.split.images]
    looks = [look_at(pixels.transpose(1, 2, 0)) for pixels in images.images()]
    first = {digest: row for row, digest in reversed([*enumerate(digests)])}
    equal = [(row, first[digest]) for row, digest in enumerate(digests)]
    left, right = np.concatenate([np.array(equal, np.int64), find_alike(looks)]).T
    graph = coo_matrix((np.ones(len(left)), (left, right)), shape=(len(digests), len(digests)))
    found: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(connected_components(graph, directed=False)[1].tolist()):
        found[group].append(row)
    return {min(digests[row] for row in rows): rows for rows in found.values()}
