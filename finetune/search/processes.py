"""The processes of a search, and the trials of those that were killed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from finetune.search.record import PHASE

OWN, OTHERS = "process-{}.lock", "process-*.lock"


@contextmanager
def take_part(folder: Path) -> Iterator[bool]:
    """Take part in the search in this folder. Gives whether no other process does at the moment.

    A lock for each process says which ones are alive: the system releases it when its process is killed.
    """
    with FileLock(folder / "study.lock"):
        alone = not [path for path in folder.glob(OTHERS) if _is_held(path)]
        number = next(n for n in range(10_000) if not (folder / OWN.format(n)).exists())
        own = FileLock(folder / OWN.format(number))
        own.acquire()
    try:
        yield alone
    finally:
        own.release()
        (folder / OWN.format(number)).unlink(missing_ok=True)


def end_killed_trials(study: optuna.Study, space: Mapping[str, object]) -> None:
    """Mark all running trials as failed, and queue their values again; no other process may run any.

    Values that were not drawn completely are drawn again, and will be the same.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if PHASE in trial.user_attrs and trial.params.keys() >= space.keys():
            study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)


def count_before(study: optuna.Study, trial: FrozenTrial | optuna.Trial) -> int:
    """Return how many trials that were not interrupted came before this one."""
    trials = study.get_trials(deepcopy=False)
    return sum(each.number < trial.number and each.state != TrialState.FAIL for each in trials)


def _is_held(path: Path) -> bool:
    """Return whether a process holds the lock; one that none holds is removed."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    path.unlink(missing_ok=True)
    lock.release()
    return False
