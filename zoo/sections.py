"""Sections that other packages add to the spec language (`data`, `finetune`, …), found by entry point."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import TypeAdapter, ValidationError

from zoo.check import adapter_of

GROUP = "graft.sections"


@cache
def section_types() -> dict[str, TypeAdapter[Any]]:
    """Give each section's name with what validates it.

    Raises ValueError when two packages claim one name.
    """
    found: dict[str, TypeAdapter[Any]] = {}
    for point in entry_points(group=GROUP):
        for name, model in point.load().items():
            if name in found:
                raise ValueError(f"section '{name}' is claimed twice; the second is {point.value}")
            found[name] = adapter_of(model)
    return found


def default_section(adapter: TypeAdapter[Any]) -> object:
    """Give the value of a section that a spec leaves out: all its defaults, or an empty list."""
    empties: tuple[object, ...] = ({}, [])
    for empty in empties:
        try:
            return adapter.validate_python(empty)
        except ValidationError:
            continue
    return None
