"""The model zoo: networks declared as data, built, measured and filled with published weights."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from zoo.errors import GraftError, SpecError, UnknownNameError, WeightsError, WeightsUnavailableError

if TYPE_CHECKING:
    from zoo.api import build, load
    from zoo.catalog.anatomy import anatomy
    from zoo.catalog.stages import Anatomy, stage_parts
    from zoo.pretrained.load import Origin, available_weights, load_weights, trained_input
    from zoo.pretrained.match import Audit
    from zoo.spec.header import Input, TrainedInput, WeightsEntry
    from zoo.spec.spec import Spec, override, read_spec

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
    "stage_parts",
    "trained_input",
]

_HOMES = {  # imported on first use: these need torch or pydantic, and asking for help needs neither
    "Anatomy": "zoo.catalog.stages",
    "Audit": "zoo.pretrained.match",
    "Input": "zoo.spec.header",
    "Origin": "zoo.pretrained.load",
    "Spec": "zoo.spec.spec",
    "TrainedInput": "zoo.spec.header",
    "WeightsEntry": "zoo.spec.header",
    "anatomy": "zoo.catalog.anatomy",
    "build": "zoo.api",
    "load": "zoo.api",
    "load_weights": "zoo.pretrained.load",
    "override": "zoo.spec.spec",
    "read_spec": "zoo.spec.spec",
    "stage_parts": "zoo.catalog.stages",
    "trained_input": "zoo.pretrained.load",
    "available_weights": "zoo.pretrained.load",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo' has no attribute '{name}'")
    found: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found
