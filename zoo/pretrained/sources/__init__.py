"""The sources of pretrained weights: one module for each kind of entry under a spec's `weights`.

A module is named by the key of the entry that it reads, and has one function, `source`. To add a source, add
its module here and its key to `WeightsEntry`.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from zoo.errors import WeightsError, did_you_mean
from zoo.pretrained.sources.base import Source
from zoo.spec.header import WEIGHT_SOURCES, TrainedInput, WeightsEntry
from zoo.spec.spec import Spec


class SourceModule(Protocol):
    """What each module here provides."""

    def source(self, name: str, sha256: str, folder: Path) -> Source:
        """Describe the weights called `name` by their publisher. Nothing is downloaded.

        `sha256` is the hash that the spec states, '' for none; `folder` is the folder of the spec.

        Raises: WeightsError for a name that the publisher does not know.
        """


def find_source(spec: Spec, name: str) -> Source:
    """Return the source of an entry of a spec's weights. Nothing is downloaded. Raises WeightsError."""
    entry = find_entry(spec, name)
    kind = next(kind for kind in WEIGHT_SOURCES if getattr(entry, kind) is not None)
    module = cast("SourceModule", importlib.import_module(f"{__name__}.{kind}"))  # timm alone takes a second
    source = module.source(getattr(entry, kind), entry.sha256 or "", spec.path.parent)
    return replace(
        source,
        licence=entry.licence or source.licence,
        classes=entry.classes or source.classes,
        input=merge_input(source.input, entry.input),
        rename={**source.rename, **entry.rename},
    )


def find_entry(spec: Spec, name: str) -> WeightsEntry:
    """Return an entry of a spec's weights. Raises WeightsError, with the nearest name."""
    if name in spec.weights:
        return spec.weights[name]
    declared = ", ".join(spec.weights) or "none"
    hint = did_you_mean(name, spec.weights)
    raise WeightsError(f"{spec.path}: unknown weights '{name}'\n  expected: {declared}{hint}")


def merge_input(published: TrainedInput, own: TrainedInput | None) -> TrainedInput:
    """Override what the publisher says about the input by what the spec's entry says."""
    return published.model_copy(update=own.model_dump(exclude_none=True) if own else {})
