"""The model zoo: networks declared as data, built, described, and loaded with published weights."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from zoo.errors import GraftError, SpecError, UnknownNameError, WeightsError, WeightsUnavailableError

if TYPE_CHECKING:
    from zoo.api import build, load, override, read_spec
    from zoo.catalog.anatomy import Anatomy, anatomy, stage_parts
    from zoo.describe.listing import specs_with_weights
    from zoo.pretrained.load import (
        Origin,
        available_weights,
        load_weights,
        trained_input,
    )
    from zoo.pretrained.match import Audit
    from zoo.spec.header import Input, TrainedInput, WeightsEntry
    from zoo.spec.spec import Spec

__all__ = [
    "Anatomy",
    "Audit",
    "GraftError",
    "Input",
    "Origin",
    "Spec",
    "SpecError",
    "TrainedInput",
    "UnknownNameError",
    "WeightsEntry",
    "WeightsError",
    "WeightsUnavailableError",
    "anatomy",
    "available_weights",
    "build",
    "load",
    "load_weights",
    "override",
    "read_spec",
    "specs_with_weights",
    "stage_parts",
    "trained_input",
]

_MODULES = {  # imported on first use: these need torch or pydantic, and `--help` needs neither
    "zoo.catalog.anatomy": ("Anatomy", "anatomy", "stage_parts"),
    "zoo.api": ("build", "load", "override", "read_spec"),
    "zoo.pretrained.load": (
        "Origin",
        "available_weights",
        "load_weights",
        "trained_input",
    ),
    "zoo.describe.listing": ("specs_with_weights",),
    "zoo.pretrained.match": ("Audit",),
    "zoo.spec.header": ("Input", "TrainedInput", "WeightsEntry"),
    "zoo.spec.spec": ("Spec",),
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            found: object = getattr(importlib.import_module(module), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module 'zoo' has no attribute '{name}'")
