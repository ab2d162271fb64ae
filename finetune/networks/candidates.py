"""The specs that a network is chosen from, each with the settings of the spec that asks for the choice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import zoo
from finetune.experiment.spec_check import check_spec
from finetune.tasks import find_task
from zoo.describe.trace import describe
from zoo.errors import GraftError
from zoo.spec.inherit import SUFFIX
from zoo.spec.nodes import plain

OF_THE_NETWORK = (
    *("extends", "name", "source", "task", "classes", "head", "stages", "facts", "weights"),
    *("model", "blocks", "layers"),
)
"""Keys of a spec that stay those of the candidate."""


def find_candidates(recipe: zoo.Spec, names: Sequence[str | Path] = ()) -> tuple[zoo.Spec, ...]:
    """Return the specs to choose from with the recipe's settings, that with the fewest multiply-adds first.

    `names` replaces those of the recipe: names of specs or paths.
    Raises: GraftError when there are none, or one is for another task; SpecError for settings that one of
    them cannot have.
    """
    if not find_task(recipe.task).probes:
        raise GraftError(
            f"{recipe.path}: a network is chosen by linear classifiers, which {recipe.task} does not have\n"
            "  expected: the spec of one network"
        )
    if not names:
        asked = recipe.model.auto if recipe.model is not None else None
        names = zoo.specs_with_weights(recipe.task) if asked in (None, "available") else tuple(asked or ())
    if not names:
        raise GraftError(
            f"{recipe.path}: no spec has its weights on this machine\n"
            "  expected: weights that `graft zoo pull SPEC` fetches, or the names of specs"
        )
    specs = [adopt_settings(recipe, name) for name in names]
    return tuple(sorted(specs, key=lambda spec: (describe(spec).macs, spec.name)))


def adopt_settings(recipe: zoo.Spec, name: str | Path) -> zoo.Spec:
    """Return the spec of that name, beside the recipe or in the zoo, with the recipe's other settings.

    Raises: GraftError as find_candidates.
    """
    beside = recipe.path.parent / f"{name}{SUFFIX}"
    path = beside if beside.is_file() else name
    spec = zoo.read_spec(path)
    if spec.task != recipe.task:
        raise GraftError(f"{spec.path}: is for {spec.task}; expected a spec for {recipe.task}")
    if spec.is_chosen:
        raise GraftError(f"{spec.path}: names no network; expected the spec of one network to choose from")
    kept = {key: plain(node) for key, node in recipe.document.items.items() if key not in OF_THE_NETWORK}
    spec = zoo.read_spec(path, kept)
    check_spec(spec)
    return spec
