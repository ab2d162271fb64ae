"""Processes that share a search: who takes the next trial, and which trials nobody works on any more."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from finetune.search.record import ORIGIN, OUTCOME, PHASE

WORKER = "worker"


@dataclass(frozen=True)
class Worker:
    """This process among those that share a folder: it is alive as long as it holds the lock of its name."""

    name: str
    folder: Path
    claim: FileLock
    """Held while a trial is taken; between taking one and signing it nobody else looks."""

    def sign(self, trial: optuna.Trial) -> None:
        """Say who works on the trial."""
        trial.set_user_attr(WORKER, self.name)

    def lock_of(self, trial: FrozenTrial) -> Path:
        """The file that the process which signed the trial holds locked."""
        return self.folder / f"{trial.user_attrs.get(WORKER)}.lock"

    def is_lost(self, trial: FrozenTrial) -> bool:
        """Whether the process that runs the trial is gone."""
        path = self.lock_of(trial)
        if trial.user_attrs.get(WORKER) == self.name:
            return False
        if not path.exists():
            return True
        try:
            with FileLock(path, timeout=0):
                return True
        except Timeout:
            return False


@contextmanager
def working(folder: Path) -> Iterator[Worker]:
    """This process as a worker of the search in `folder`."""
    workers = folder / "workers"
    workers.mkdir(parents=True, exist_ok=True)
    name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    path = workers / f"{name}.lock"
    with FileLock(path):
        yield Worker(name, workers, FileLock(folder / "claim.lock"))
    path.unlink(missing_ok=True)


def give_up_lost(study: optuna.Study, worker: Worker) -> None:
    """Mark the trials of processes that are gone as failed. In a database optuna's heartbeat does it."""
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        if worker.is_lost(trial):
            study.tell(trial.number, state=TrialState.FAIL)
            worker.lock_of(trial).unlink(missing_ok=True)


def try_again(study: optuna.Study) -> None:
    """Queue what failed trials tried, once more each: they say nothing about their values."""
    trials = study.get_trials(deepcopy=False)
    taken_up = {trial.user_attrs.get(ORIGIN) for trial in trials}
    for trial in trials:
        once = trial.number not in taken_up and ORIGIN not in trial.user_attrs
        if trial.state == TrialState.FAIL and trial.params and once and OUTCOME not in trial.user_attrs:
            attrs = {ORIGIN: trial.number, PHASE: trial.user_attrs.get(PHASE, "")}
            study.enqueue_trial(trial.params, user_attrs=attrs)
