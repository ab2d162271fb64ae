"""Sections that other packages add to the spec language (`data`, `finetune`, …), found by entry point."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import TypeAdapter, ValidationError

from zoo.spec.check import adapter_of

GROUP = "graft.sections"
CHECKS = "graft.checks"


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


@cache
def section_check(name: str) -> Callable[[Any], None] | None:
    """Give what a package checks of a spec that has the section, beyond the section itself."""
    found = entry_points(group=CHECKS, name=name)
    loaded: Callable[[Any], None] | None = next(iter(found)).load() if found else None
    return loaded


def default_section(adapter: TypeAdapter[Any]) -> object:
    """Give the value of a section that a spec leaves out: all its defaults, or an empty list."""
    empties: tuple[object, ...] = ({}, [])
    for empty in empties:
        try:
            return adapter.validate_python(empty)
        except ValidationError:
            continue
    return None
