"""The model zoo: networks declared as data, built, measured and filled with published weights."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from zoo.errors import GraftError, SpecError, UnknownNameError, WeightsError

if TYPE_CHECKING:
    from zoo.header import Input, WeightsEntry
    from zoo.model import Anatomy, anatomy, build
    from zoo.spec import Spec, override, read_spec

__all__ = [
    "Anatomy",
    "GraftError",
    "Input",
    "Spec",
    "SpecError",
    "UnknownNameError",
    "WeightsEntry",
    "WeightsError",
    "anatomy",
    "build",
    "override",
    "read_spec",
]

_HOMES = {  # imported on first use: these need torch or pydantic, and asking for help needs neither
    "Anatomy": "zoo.model",
    "Input": "zoo.header",
    "Spec": "zoo.spec",
    "WeightsEntry": "zoo.header",
    "anatomy": "zoo.model",
    "build": "zoo.model",
    "override": "zoo.spec",
    "read_spec": "zoo.spec",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo' has no attribute '{name}'")
    found: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found
