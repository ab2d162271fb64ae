"""What makes a search the same search: spec, images, ranges. Trials of another one are not comparable."""

from __future__ import annotations

import optuna
import yaml

import zoo
from finetune.config import SearchSettings
from finetune.config.data import WHERE
from finetune.data import Splits
from finetune.experiment.setup import get_section
from finetune.search.check import without_search
from zoo.errors import GraftError
from zoo.spec.dump import to_yaml

RECIPE, EPOCHS = "recipe", "epochs"
OF_THE_MACHINE = ("workers", "cache_mb")
"""Keys of `data` that change nothing but how fast it goes."""


def describe_search(recipe: zoo.Spec, splits: Splits, epochs: int) -> str:
    """The text that two searches share when their trials can be compared.

    Images are told by their number and classes, not by where they lie, which may differ between machines, as
    may what reads them. How many trials there are, and how their values are drawn, may change.
    """
    document = yaml.safe_load(without_search(recipe).to_yaml())
    for name in ("search", "export"):
        document.pop(name, None)
    document["finetune"].pop("cache", None)
    for key in (*WHERE, *OF_THE_MACHINE):
        document["data"].pop(key, None)
    document["data"] |= {
        "classes": list(splits.classes),
        "train": len(splits.train),
        "val": len(splits.val),
    }
    settings = get_section(recipe, SearchSettings)
    document["search"] = {"epochs": epochs, "space": settings.model_dump(mode="json")["space"]}
    return to_yaml(document)


def agreed_epochs(study: optuna.Study, measured: int) -> int:
    """How long trials are, by who came first: where a budget is measured, every start measures another."""
    if EPOCHS not in study.user_attrs:
        study.set_user_attr(EPOCHS, measured)
    return int(study.user_attrs[EPOCHS])


def check_same(study: optuna.Study, text: str) -> None:
    """Sign a new study; compare one that stands.

    Raises: GraftError with the lines that differ.
    """
    before = study.user_attrs.get(RECIPE)
    if before is None:
        study.set_user_attr(RECIPE, text)
    elif before != text:
        old, new = before.splitlines(), text.splitlines()
        gone = "; ".join(line.strip() for line in old if line not in new)
        come = "; ".join(line.strip() for line in new if line not in old)
        raise GraftError(
            f"the search '{study.study_name}' was started otherwise: then {gone or 'nothing'}, "
            f"now {come or 'nothing'}\n"
            "  expected: the same SPEC, DATA and SET as then, or another RUN"
        )
