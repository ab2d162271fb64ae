"""Bagging: members that are each trained like a run of their own, on their own bootstrap sample."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

import zoo
from finetune.data.subset import subset
from finetune.engine.build import build_trainer
from finetune.experiment.setup import Setup
from finetune.fit.callbacks import train
from finetune.models.ensemble import draw_bootstrap
from finetune.records.metrics_log import EpochRecord, read_records
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder, write_json
from finetune.runtime.seeds import derive_seed

SEEDS = 2**31


def train_bag(setup: Setup, plan: Plan, place: Path, count: int, console: Console) -> list[RunFolder]:
    """Train the members one after the other, each in a folder under `place`; trained ones are left alone.

    All start at the weights of `setup.net`, which stays as it is, and are validated on the same images.
    """
    homes = [RunFolder(place / str(number)) for number in range(1, count + 1)]
    for number, home in enumerate(homes, start=1):
        if not home.trained.exists():
            console.print(f"  member {number} of {count}")
            home.path.mkdir(parents=True, exist_ok=True)
            trainer = build_trainer(member_setup(setup, number), plan, home, console)
            write_json(home.trained, train(trainer).summary())
        shutil.rmtree(home.checkpoint, ignore_errors=True)
    return homes


def member_setup(setup: Setup, number: int) -> Setup:
    """The setup with a copy of its network, a bootstrap sample of its images, and random draws of its own.

    What is checked before training is checked for the first member alone.
    """
    seed = setup.settings.seed
    own = derive_seed(seed, "bagging", number) % SEEDS
    keys = {"finetune.seed": own} | ({"finetune.checks": "none"} if number > 1 else {})
    rows = draw_bootstrap(len(setup.train), seed=seed, member=number)
    return replace(
        setup,
        spec=zoo.override(setup.spec, keys),
        net=copy.deepcopy(setup.net),
        train=subset(setup.train, rows, seed=own),
    )


def join_logs(logs: Sequence[Path]) -> list[EpochRecord]:
    """Return the records of several logs, each with the number of its member, from 1."""
    return [
        replace(record, member=number)
        for number, log in enumerate(logs, start=1)
        for record in read_records(log)
    ]
