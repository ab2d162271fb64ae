"""The Optuna study of a search: its storage, sampler and pruner, and which search it belongs to."""

from __future__ import annotations

from pathlib import Path

import optuna
import yaml
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    PartialFixedSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

import zoo
from finetune.config import SearchSettings, get_section
from finetune.config.data import LOCATION_KEYS
from finetune.config.search import LOCAL
from finetune.data import Splits
from finetune.records.run_folder import describe_changes
from finetune.runtime.seeds import derive_seed
from finetune.search.check import without_search
from finetune.search.space import Space, label
from zoo.errors import GraftError
from zoo.spec.yaml import to_yaml

HEARTBEAT_S, SILENCE_S = 10, 60
"""A running trial reports to the storage this often; after this long a silence it counts as interrupted."""
RETRIES = 1
"""How often the values of an interrupted trial are tried again."""
LOCK_TIMEOUT_S = 60
"""How long a process waits for another that writes to the same SQLite file."""
MEDIAN_TRIALS, MEDIAN_EPOCHS = 4, 2
"""The median pruner starts after this many trials, and in each of them after this many epochs."""
RECIPE, EPOCHS = "recipe", "epochs"
"""Keys of the study's user attributes."""
MACHINE_KEYS = ("workers", "cache_mb")
"""Keys of `data` that affect speed alone."""
PIP_NAMES = {"psycopg2": "psycopg2-binary", "psycopg": "'psycopg[binary]'", "MySQLdb": "mysqlclient"}
"""Packages of database drivers that are named differently from their module."""


def open_study(settings: SearchSettings, name: str, folder: Path) -> optuna.Study:
    """Open the study of that name, or create it.

    Raises: GraftError when the database or its driver is not available.
    """
    url = f"sqlite:///{folder.resolve() / 'study.db'}" if settings.storage == LOCAL else settings.storage
    return optuna.create_study(
        storage=open_storage(url),
        study_name=settings.study or name,
        direction="maximize",
        load_if_exists=True,
    )


def open_storage(url: str) -> RDBStorage:
    """Open a database in which interrupted trials are found by their missing heartbeat, and retried.

    Raises: GraftError as `open_study`.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    waits = {"connect_args": {"timeout": LOCK_TIMEOUT_S}} if url.startswith("sqlite") else None
    try:
        shown = make_url(url).render_as_string(hide_password=True)
        return RDBStorage(
            url,
            engine_kwargs=waits,
            heartbeat_interval=HEARTBEAT_S,
            grace_period=SILENCE_S,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
        )
    except ImportError as error:
        driver = getattr(error.__cause__, "name", None) or "its driver"
        raise GraftError(
            f"search.storage: {shown} needs the Python package {driver}, which is not installed; "
            f"expected: pip install {PIP_NAMES.get(driver, driver)}"
        ) from error
    except SQLAlchemyError as error:
        message = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise GraftError(
            f"search.storage: the database cannot be opened: {message}\n"
            "  expected: the URL of a running database that accepts you, such as postgresql://user@host/name"
        ) from error


def make_sampler(settings: SearchSettings, number: int, space: Space, full_space: Space) -> BaseSampler:
    """Return the sampler of trial `number`: its draws do not depend on the process that runs the trial.

    Where `space` restricts a choice, one of the remaining values is drawn here.
    """
    seed = derive_seed(settings.seed, number, "search") % 2**32
    fixed = {
        key: label(given.chosen[1][derive_seed(settings.seed, number, key) % len(given.chosen[1])])
        for key, given in space.items()
        if given.chosen[0] == "choice" and given != full_space[key]
    }
    sampler = _make_sampler(settings, seed)
    return PartialFixedSampler(fixed, sampler) if fixed else sampler


def _make_sampler(settings: SearchSettings, seed: int) -> BaseSampler:
    if settings.sampler == "tpe":
        return TPESampler(seed=seed)
    if settings.sampler == "gp":
        return GPSampler(seed=seed, warn_independent_sampling=False)
    if settings.sampler == "qmc":  # all trials share one sequence; the first trial is drawn at random
        return QMCSampler(
            seed=settings.seed,
            scramble=True,
            independent_sampler=RandomSampler(seed),
            warn_independent_sampling=False,
            warn_asynchronous_seeding=False,
        )
    return RandomSampler(seed)


def make_pruner(settings: SearchSettings, epochs: int) -> BasePruner:
    """Return the pruner of the settings; epochs count from 1."""
    if settings.pruner == "median":
        return MedianPruner(n_startup_trials=MEDIAN_TRIALS, n_warmup_steps=MEDIAN_EPOCHS)
    if settings.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=epochs)
    return NopPruner()


def agree_on_epochs(study: optuna.Study, epochs: int) -> int:
    """Return the length of a trial that the first process stored; later ones may measure another."""
    if EPOCHS not in study.user_attrs:
        study.set_user_attr(EPOCHS, epochs)
    return int(study.user_attrs[EPOCHS])


def check_recipe(study: optuna.Study, text: str) -> None:
    """Store the description of the search in a new study; compare it in an existing one.

    Raises: GraftError with the lines that differ.
    """
    before = study.user_attrs.get(RECIPE)
    if before is None:
        study.set_user_attr(RECIPE, text)
    elif before != text:
        raise GraftError(
            f"the search '{study.study_name}' was started with other settings: "
            f"{describe_changes(before, text)}\n"
            "  expected: the same spec, --data and --set as before, or another --run"
        )


def describe_search(recipe: zoo.Spec, splits: Splits, epochs: int) -> str:
    """Return a text that two searches share if their trials can be compared.

    Images are described by their number and classes; their folder may differ between machines. The number
    of trials, and how values are drawn, may change.
    """
    document = yaml.safe_load(without_search(recipe).to_yaml())
    for name in ("search", "export"):
        document.pop(name, None)
    document["finetune"].pop("cache", None)
    for key in (*LOCATION_KEYS, *MACHINE_KEYS):
        document["data"].pop(key, None)
    document["data"] |= {
        "classes": list(splits.classes),
        "train": len(splits.train),
        "val": len(splits.val),
    }
    settings = get_section(recipe, SearchSettings)
    document["search"] = {"epochs": epochs, "space": settings.model_dump(mode="json")["space"]}
    return to_yaml(document)
