"""Sections that other packages add to the spec language (`data`, `finetune`, …)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from zoo.errors import GraftError
from zoo.plugins import CHECKS, SECTIONS, find_plugins
from zoo.spec.check import adapter_of


@cache
def section_types() -> dict[str, TypeAdapter[Any]]:
    """Give each section's name with what validates it.

    Raises: GraftError when two packages claim one name.
    """
    found: dict[str, TypeAdapter[Any]] = {}
    for package, load in find_plugins(SECTIONS):
        for name, model in load().items():
            if name in found:
                raise GraftError(f"section {name!r} is already taken; the second is in {package}")
            found[name] = adapter_of(model)
    return found


@cache
def section_check(name: str) -> Callable[[Any], None] | None:
    """Give what a package checks of a spec that has the section, beyond the section itself."""
    found: dict[str, Callable[[], Callable[[Any], None]]] = dict(find_plugins(CHECKS))
    return found[name]() if name in found else None


def default_section(adapter: TypeAdapter[Any]) -> object:
    """Give the value of a section that a spec leaves out: all its defaults, or an empty list."""
    empties: tuple[object, ...] = ({}, [])
    for empty in empties:
        try:
            return adapter.validate_python(empty)
        except ValidationError:
            continue
    return None
