"""A few digits as a folder of pictures, and a spec that searches on them in seconds."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sqlite3
import time
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from PIL import Image
from rich.console import Console
from sklearn.datasets import load_digits

from finetune.config import DataSettings, get_section
from finetune.config.search import SearchSettings
from finetune.data import load_splits
from finetune.experiment.recipe import read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.search import search, study
from finetune.search.search import prepare_trials, trial_epochs
from finetune.search.trial import Shared

IMAGES_PER_CLASS = 8
EPOCHS, KEYS = 2, 2
SILENT = Console(file=io.StringIO())
SPEC = """\
extends: lenet5
name: digits
choices: {act: relu}
augment: []
data: {folder: FOLDER}
finetune: {precision: float32, batch_size: 8, checks: none}
search:
  space:
    finetune.learning_rate: {log: [1e-3, 0.3]}
    finetune.optimizer: {choice: [sgd, {adamw: {eps: 1e-6}}]}
  trials: 8
  epochs: 2
"""


def write_digits(folder: Path, each: int = IMAGES_PER_CLASS) -> Path:
    """Write a few pictures of each digit, one folder per digit."""
    digits = load_digits()
    for digit in range(10):
        (folder / str(digit)).mkdir(parents=True)
        for i, pixels in enumerate(digits.images[digits.target == digit][:each]):
            grey = (pixels * (255 / 16)).round().astype(np.uint8)
            Image.fromarray(grey).save(folder / str(digit) / f"{i:02d}.png")
    return folder


def write_spec(folder: Path, text: str = SPEC) -> Path:
    """Write the spec, and its images beside it."""
    images = folder / "images"
    if not images.exists():
        write_digits(images)
    path = folder / "digits.yaml"
    path.write_text(text.replace("FOLDER", str(images)))
    return path


def prepare_spec(path: Path, **values: object) -> Setup:
    """Return the setup that a run of the spec would have."""
    recipe = read_recipe(path, set=values)
    return prepare(recipe, load_splits(get_section(recipe, DataSettings), 0))


def prepare_shared(path: Path) -> Shared:
    """Return what the trials of the spec's search share."""
    recipe = read_recipe(path)
    shared = prepare_trials(recipe, SILENT)
    assert shared.epochs == trial_epochs(get_section(recipe, SearchSettings), shared.plan)
    return shared


def start_search(spec: Path, folder: Path) -> BaseProcess:
    """Start the search in a process of its own.

    A server that has imported everything forks it: a process that has trained cannot be forked.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["finetune.search", "torchmetrics"])
    process = context.Process(target=run_search, args=(spec, folder))
    process.start()
    return process


def run_search(spec: Path, folder: Path) -> None:
    """Run the search with short heartbeats."""
    torch.set_num_threads(1)  # small networks are slower on more
    study.HEARTBEAT_S, study.SILENCE_S = 1, 2
    search(spec, run=folder, console=SILENT)


def read_trials(folder: Path) -> list[FrozenTrial]:
    """Return Optuna's trials as they are stored; none before there is a study."""
    database = folder / "study.db"
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            if not connection.execute("select * from alembic_version").fetchall():
                return []  # RDBStorage would write the version before the search does
    except sqlite3.OperationalError:  # no file, or no table yet
        return []
    try:
        storage = RDBStorage(f"sqlite:///{database}", skip_compatibility_check=True, skip_table_creation=True)
        studies = storage.get_all_studies()
        return storage.get_all_trials(studies[0]._study_id) if studies else []
    except StorageInternalError:  # the tables are being created
        return []


def kill_in_a_trial(process: BaseProcess, folder: Path) -> None:
    """Kill the process while a trial that has both its values is running."""
    assert process.pid is not None
    running = False
    while not running:
        wait_for_trials(process, folder, TrialState.RUNNING, 1)
        os.kill(process.pid, signal.SIGSTOP)  # a trial takes less than a second
        running = any(
            trial.state == TrialState.RUNNING and len(trial.params) == KEYS for trial in read_trials(folder)
        )
        if not running:
            os.kill(process.pid, signal.SIGCONT)
    process.kill()
    process.join()


def wait_for_trials(process: BaseProcess, folder: Path, state: TrialState, count: int) -> None:
    """Wait until so many trials that have both their values are in that state, while the process runs."""
    end = time.monotonic() + 120
    while sum(trial.state == state and len(trial.params) == KEYS for trial in read_trials(folder)) < count:
        assert process.exitcode is None
        assert time.monotonic() < end, read_trials(folder)
        time.sleep(0.05)
