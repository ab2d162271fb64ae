"""The zoo at a glance: every spec with its sizes, the weights to hand, and whether its facts hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from zoo.describe.facts import violations
from zoo.describe.follow import describe
from zoo.errors import GraftError
from zoo.layers.shape import Shape
from zoo.pretrained.load import available_weights
from zoo.spec.header import Facts
from zoo.spec.inherit import SPECS, SUFFIX
from zoo.spec.spec import Spec, read_spec

RECIPES = ("pretrain",)  # folders of specs that tell how weights were made: no networks of their own
YEAR = re.compile(r"\b(?:19|20)\d\d\b")


@dataclass(frozen=True)
class Listed:
    """One spec. `macs` are multiply-adds an image.

    `weights` are the names of those that are on this machine, `to_fetch` of the others that it declares.
    """

    name: str
    path: Path
    year: int | None
    source: str
    task: str
    input: Shape
    params: int
    macs: int
    weights: tuple[str, ...]
    to_fetch: tuple[str, ...]
    has_facts: bool
    violated: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """All specs of a folder, from the oldest network to the newest; `errors` tell of files not readable."""

    specs: tuple[Listed, ...]
    errors: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        return not self.errors and not any(listed.violated for listed in self.specs)


def list_specs(folder: Path = SPECS) -> Listing:
    """Describe every spec below a folder. Raises GraftError when there is none."""
    files = [
        path
        for path in sorted(folder.rglob("*" + SUFFIX))
        if not set(RECIPES) & set(path.relative_to(folder).parts)
    ]
    if not files:
        raise GraftError(f"{folder}: no specs (*{SUFFIX}) in this folder")
    listed, errors = [], []
    for path in files:
        try:
            listed.append(_listed(read_spec(path)))
        except GraftError as error:
            errors.append(str(error))
    return Listing(tuple(sorted(listed, key=_age)), tuple(errors))


def _listed(spec: Spec) -> Listed:
    description = describe(spec)
    year, here = YEAR.search(spec.source), available_weights(spec)
    return Listed(
        name=spec.name,
        path=spec.path,
        year=int(year[0]) if year else None,
        source=spec.source,
        task=spec.task,
        input=(spec.input.channels, spec.input.height, spec.input.width),
        params=description.params,
        macs=description.macs,
        weights=here,
        to_fetch=tuple(name for name in spec.weights if name not in here),
        has_facts=spec.facts != Facts(),
        violated=tuple(violations(description)),
    )


def _age(listed: Listed) -> tuple[int, str, int, str]:
    """Sort by year, then by paper, a paper's networks from the smallest."""
    return (listed.year or 9999, listed.source, listed.params, listed.name)
