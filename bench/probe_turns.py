"""One turn from a folder to a trained linear head: the least that this takes, Graft's way, and fastai's."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich.console import Console

import zoo
from bench.stopwatch import Stopwatch
from bench.trial import QUIET, load
from finetune.data.scan import scan_images
from finetune.experiment.recipe import read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.features.cache import FeatureCache
from finetune.features.extract import module_digest
from finetune.features.frozen_pass import FrozenPass
from finetune.fit.execute import execute_plan
from finetune.planning.choose import choose_plan
from finetune.probes.arithmetic import choose_arithmetic
from finetune.probes.classifier import fit_classifier
from finetune.probes.similarity import measure_similarity
from finetune.probes.stage_select import measure_stages
from finetune.records.files import write_weights
from finetune.records.run_folder import RunFolder
from finetune.runtime.fastest import fastest_precision
from finetune.runtime.precision import Precision
from finetune.tasks.evaluate import evaluate_artifact

GIVEN: dict[str, object] = {
    **QUIET,
    "finetune.strategy": "linear_probe",
    "finetune.weights": "file",
    "data.test": 0,
    "data.val": 0.2,  # what fastai holds back by default
}
PARTS: dict[Callable[..., Any], str] = {
    scan_images: "images read, checked and hashed",
    zoo.load: "network built, weights loaded",
    module_digest: "network hashed",
    fastest_precision: "precisions tried",
    FrozenPass.run: "frozen pass, decoding included",
    FeatureCache.write: "features written",
    measure_stages: "probes of all stages, for the plan",
    measure_similarity: "similarity, for the plan",
    fit_classifier: "head cross-validated and fitted",
    write_weights: "weights written",
}
"""What Graft's seconds are told apart by; a part inside another counts for itself alone."""


@dataclass(frozen=True)
class Floor:
    """Seconds to decode the training images, and of one pass of the trunk over them."""

    decoding: float
    forward: float
    precision: Precision

    @property
    def seconds(self) -> float:
        """Both."""
        return self.decoding + self.forward


@dataclass(frozen=True)
class Probe:
    """Graft's seconds, in all and by part, and the accuracy on the images held back."""

    seconds: float
    parts: Mapping[str, float]
    accuracy: float
    precision: Precision


@dataclass(frozen=True)
class Fastai:
    """fastai's seconds, and the accuracy on the same images; `workers` is None for its default."""

    workers: int | None
    seconds: float
    accuracy: float
    version: str

    @property
    def loading(self) -> str:
        """How it loaded images, in words."""
        return "its default workers" if self.workers is None else f"{self.workers} workers"


def set_up(spec: Path, folder: str, scratch: Path) -> Setup:
    """Network and images, read from the folder; caches lie in `scratch`."""
    recipe = read_recipe(spec, folder, {**GIVEN, "finetune.cache": str(scratch / "cache")})
    return prepare(recipe, load(recipe))


def run_floor(setup: Setup, precision: Precision) -> Floor:
    """Decode the training images on every core, then pass them once; the fastest precision is known."""
    start = time.perf_counter()
    images = replace(setup.train, augment=None, pixels=None)
    images.fill()
    decoded = time.perf_counter()
    frozen = FrozenPass(setup.net, images, setup.preprocess, setup.anatomy.head)
    frozen.run(np.arange(len(images)), precision)
    return Floor(decoded - start, time.perf_counter() - decoded, precision)


def run_probe(spec: Path, folder: str) -> Probe:
    """What a run does until the head is trained and written, with nothing in the caches."""
    watch = Stopwatch()
    with TemporaryDirectory() as scratch, watch.running(PARTS):
        setup = choose_arithmetic(set_up(spec, folder, Path(scratch)))
        plan = choose_plan(setup)
        trained = execute_plan(setup, plan, RunFolder(Path(scratch)), Console(quiet=True))
    found = evaluate_artifact(trained.net, setup.preprocess, setup.val, setup.task, setup.classes)
    return Probe(watch.total, watch.seconds, found.score, setup.features_precision)


def run_fastai(python: Path, images: Path, network: str, weights: Path, workers: int | None) -> Fastai:
    """Five frozen epochs in fastai's own environment, with as many threads as here."""
    script = Path(__file__).with_name("fastai_probe.py")
    options = ["--threads", str(torch.get_num_threads())]
    options += [] if workers is None else ["--workers", str(workers)]
    command = [str(python), "-P", "-W", "ignore", str(script), str(images), network, str(weights), *options]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Fastai(workers, **json.loads(printed.splitlines()[-1]))
