"""Where a search is kept: a journal file, or a database that many machines reach."""

from __future__ import annotations

import os
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    PartialFixedSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from finetune.config import SearchSettings
from finetune.config.search import JOURNAL
from finetune.runtime.seeds import derive_seed
from finetune.search.space import Space, label
from zoo.errors import GraftError

HEARTBEAT_S, SILENT_S = 20, 90
"""A trial in a database says that it is alive this often; after so long a silence it is lost."""
JUDGED_TRIALS, JUDGED_EPOCHS = 4, 2
"""The median of fewer trials, or after fewer epochs, ends none."""


def open_study(settings: SearchSettings, name: str, folder: Path) -> optuna.Study:
    """The study of that name, made if it does not stand yet.

    Raises: GraftError when the database or its driver is not there.
    """
    journal = settings.storage == JOURNAL
    storage = open_journal(folder / "journal.log") if journal else _open_database(settings.storage)
    return optuna.create_study(
        storage=storage, study_name=settings.study or name, direction="maximize", load_if_exists=True
    )


def open_journal(path: Path) -> BaseStorage:
    """The storage in a journal file, whose lock is free again when a process that holds it is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    with lock:
        cut_half_line(path)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def cut_half_line(path: Path) -> None:
    """Drop what follows the last line end: the half of an entry that a kill left."""
    text = path.read_bytes() if path.exists() else b""
    if not text.endswith(b"\n") and text:
        os.truncate(path, text.rfind(b"\n") + 1)


def _open_database(url: str) -> BaseStorage:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        shown = make_url(url).render_as_string(hide_password=True)
        return RDBStorage(url, heartbeat_interval=HEARTBEAT_S, grace_period=SILENT_S)
    except ImportError as error:
        driver = getattr(error.__cause__, "name", None) or "its driver"
        raise GraftError(
            f"search.storage: {shown} needs the Python package {driver}, which is not installed; "
            f"expected: pip install {PACKAGES.get(driver, driver)}"
        ) from error
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise GraftError(
            f"search.storage: the database cannot be used: {said}\n"
            "  expected: the URL of one that runs and lets you in, such as postgresql://user@host/name"
        ) from error


PACKAGES = {"psycopg2": "psycopg2-binary", "psycopg": "'psycopg[binary]'", "MySQLdb": "mysqlclient"}
"""What to install for a driver, where it goes by another name."""


def make_sampler(settings: SearchSettings, number: int, space: Space, whole: Space) -> BaseSampler:
    """The sampler for trial `number`: what it draws does not depend on which process asks.

    Where `space` leaves some values of a choice, one of these is fixed.
    """
    seed = derive_seed(settings.seed, number, "search") % 2**32
    fixed = {
        key: label(given.chosen[1][derive_seed(settings.seed, number, key) % len(given.chosen[1])])
        for key, given in space.items()
        if given.chosen[0] == "choice" and given != whole[key]
    }
    sampler = _sampler(settings, seed)
    return PartialFixedSampler(fixed, sampler) if fixed else sampler


def _sampler(settings: SearchSettings, seed: int) -> BaseSampler:
    if settings.sampler == "tpe":
        return TPESampler(seed=seed)
    if settings.sampler == "gp":
        return GPSampler(seed=seed, warn_independent_sampling=False)
    if settings.sampler == "qmc":  # one sequence for all trials; it needs a first one that is drawn at random
        return QMCSampler(
            seed=settings.seed,
            scramble=True,
            independent_sampler=RandomSampler(seed),
            warn_independent_sampling=False,
            warn_asynchronous_seeding=False,
        )
    return RandomSampler(seed)


def make_pruner(settings: SearchSettings, epochs: int) -> BasePruner:
    """What ends trials early; epochs are counted from 1."""
    if settings.pruner == "median":
        return MedianPruner(n_startup_trials=JUDGED_TRIALS, n_warmup_steps=JUDGED_EPOCHS)
    if settings.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=epochs)
    return NopPruner()
