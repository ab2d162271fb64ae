"""Epochs a minute of `partial` while the frozen stages are cached, and while every epoch computes them."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from rich.console import Console

import zoo
from bench.document import machine
from finetune.data.dataset import ImageDataset
from finetune.data.subset import spread_rows, subset
from finetune.engine.build import build_trainer
from finetune.engine.callbacks import Callback
from finetune.engine.state import TrainState
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.features.cached_features import CachedFeatures
from finetune.planning.evidence import count_images
from finetune.records.metrics_log import EpochRecord
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.runtime.fastest import fastest_precision
from finetune.runtime.precision import Precision
from finetune.strategies import find_strategy

IMAGES, VALIDATED, BATCH, EPOCHS = 384, 96, 32, 16
RATE = 0.02
QUIET = Console(quiet=True)


@dataclass(frozen=True)
class Course:
    """Seconds of each epoch with its validation, the best validation accuracy, and the number of views."""

    seconds: list[float]
    accuracy: float
    views: int

    @property
    def steady(self) -> float:
        """Epochs a minute once all views are computed."""
        return 60 / median(self.seconds[self.views :])

    @property
    def overall(self) -> float:
        """Epochs a minute of the whole run."""
        return 60 * len(self.seconds) / sum(self.seconds)


class Stopwatch(Callback):
    """Notes when each epoch ended, and the best validation score."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.best = 0.0

    def on_train_start(self, state: TrainState, *, resumed: bool) -> None:
        """Note the start."""
        self.times.append(time.perf_counter())

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Note the time and the score."""
        self.times.append(time.perf_counter())
        self.best = max(self.best, record.val_score or 0.0)


def main(name: str = "resnet18") -> None:
    """Train the top stage and the head on some of the digits, at the network's own size, both ways."""
    setup = set_up(name)
    precision = fastest(setup)
    plain, cached = (course(set_up(name, views), precision) for views in ("none", "auto"))
    shape = setup.spec.input
    print(machine())
    print(
        f"partial, {name} at {shape.height} x {shape.width} pixels, head and top stage, {IMAGES} images, "
        f"{EPOCHS} epochs, {precision.name}:"
    )
    print(f"  frozen stages computed: {plain.overall:.2f} epochs/min, val accuracy {plain.accuracy:.3f}")
    print(
        f"  cached in {cached.views} views: {cached.steady:.2f} epochs/min once these are computed, "
        f"{cached.steady / plain.steady:.2f} times as many; {cached.overall:.2f} with their computing, "
        f"{cached.overall / plain.overall:.2f} times; val accuracy {cached.accuracy:.3f}"
    )


def set_up(name: str, views: str = "auto") -> Setup:
    """The spec on a few of the digits, evenly from all classes; with pretrained weights if they are here."""
    given = {"partial.views": views, "patience": "none", "label_smoothing": 0.0}
    recipe = read_recipe(name, set={f"finetune.{key}": value for key, value in given.items()})
    setup = prepare(recipe, load_data(recipe))
    return replace(setup, train=some(setup.train, IMAGES), val=some(setup.val, VALIDATED))


def some(images: ImageDataset, count: int) -> ImageDataset:
    """So many of the images, the same at each call."""
    return subset(images, spread_rows(images.split.strata, count, seed=0), seed=0)


def fastest(setup: Setup) -> Precision:
    """The precision in which this device trains the network fastest."""
    shape = setup.spec.input
    pixels = torch.zeros(BATCH, 3, shape.height, shape.width, dtype=torch.uint8)
    return fastest_precision(setup.net, setup.preprocess.normalise(pixels), backward=True)


def course(setup: Setup, precision: Precision) -> Course:
    """One run, nothing of it kept."""
    stages = list(zoo.stage_parts(setup.net, setup.anatomy).values())
    plan = Plan(
        strategy="partial",
        trains=find_strategy("partial").trains(setup.anatomy.head, stages, 1),
        head="fresh",
        epochs=EPOCHS,
        batch_size=BATCH,
        learning_rate=RATE,
        precision=precision,
        cell=None,
        reasons=(),
        evidence=count_images(setup),
    )
    watch = Stopwatch()
    for images in (setup.train, setup.val):
        images.fill()
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(setup, plan, RunFolder(Path(folder)), QUIET)
        trainer = replace(trainer, saves=False, callbacks=[watch])
        trainer.run()
    views = trainer.train.views if isinstance(trainer.train, CachedFeatures) else 0
    seconds = [end - start for start, end in pairwise(watch.times)]
    return Course(seconds, watch.best, views)


if __name__ == "__main__":
    main(*sys.argv[1:2])
