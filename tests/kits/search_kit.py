"""A small part of the digits as a folder of pictures, and a spec that searches on it in seconds."""

from __future__ import annotations

import io
import multiprocessing
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch
from optuna.trial import FrozenTrial, TrialState
from PIL import Image
from rich.console import Console
from sklearn.datasets import load_digits

from finetune.config import DataSettings
from finetune.config.search import SearchSettings
from finetune.data import load_splits
from finetune.experiment.setup import Setup, get_section, prepare, read_recipe
from finetune.search import search
from finetune.search.loop import set_up, trial_epochs
from finetune.search.study import open_journal
from finetune.search.trial import Bench

EACH = 12
EPOCHS = 3
SPEC = """\
extends: lenet5
name: digits
choices: {act: relu}
augment: []
data: {folder: FOLDER}
finetune: {precision: float32, batch_size: 8}
search:
  space:
    finetune.learning_rate: {log: [1e-3, 1]}
    finetune.optimizer: {choice: [sgd, {adamw: {eps: 1e-6}}]}
  trials: 12
  epochs: 3
"""


def write_digits(folder: Path, each: int = EACH) -> Path:
    """So many pictures of each digit, one folder a digit."""
    digits = load_digits()
    for digit in range(10):
        (folder / str(digit)).mkdir(parents=True)
        for i, pixels in enumerate(digits.images[digits.target == digit][:each]):
            grey = (pixels * (255 / 16)).round().astype(np.uint8)
            Image.fromarray(grey).save(folder / str(digit) / f"{i:02d}.png")
    return folder


def write_spec(folder: Path, text: str = SPEC) -> Path:
    """The spec, and its images beside it."""
    images = folder / "images"
    if not images.exists():
        write_digits(images)
    path = folder / "digits.yaml"
    path.write_text(text.replace("FOLDER", str(images)))
    return path


def prepare_spec(path: Path, **values: object) -> Setup:
    """The setup that a run of the spec would have."""
    recipe = read_recipe(path, set=values)
    return prepare(recipe, load_splits(get_section(recipe, DataSettings), 0))


def make_bench(path: Path) -> Bench:
    """What the trials of the spec's search share."""
    recipe = read_recipe(path)
    bench = set_up(recipe, Console(file=io.StringIO()))
    assert bench.epochs == trial_epochs(get_section(recipe, SearchSettings), bench.plan)
    return bench


def start_search(spec: Path, folder: Path) -> BaseProcess:
    """The search in a process of its own.

    A server that has imported everything forks it; the tests' process has trained, and cannot be forked.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["finetune.search", "torchmetrics"])
    process = context.Process(target=run_search, args=(spec, folder))
    process.start()
    return process


def run_search(spec: Path, folder: Path) -> None:
    """What the process does."""
    torch.set_num_threads(1)  # small networks are slower on more
    search(spec, run=folder, console=Console(file=io.StringIO()))


def read_journal(folder: Path) -> list[FrozenTrial]:
    """Optuna's trials as they stand in the journal; none as long as there is no study."""
    journal = folder / "journal.log"
    if not journal.exists():
        return []
    storage = open_journal(journal)
    studies = storage.get_all_studies()
    return storage.get_all_trials(studies[0]._study_id) if studies else []


def wait_for_trials(process: BaseProcess, folder: Path, state: TrialState, count: int) -> None:
    """Wait until so many trials are in that state, while the process runs."""
    end = time.monotonic() + 120
    while sum(trial.state == state for trial in read_journal(folder)) < count:
        assert process.exitcode is None
        assert time.monotonic() < end, read_journal(folder)
        time.sleep(0.05)
