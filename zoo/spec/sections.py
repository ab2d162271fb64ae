"""Sections that other packages add to the spec language (`data`, `finetune`, …)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from zoo.plugins import BUILT_IN, CHECKS, SECTIONS, find_plugins


@cache
def section_names() -> tuple[str, ...]:
    """Return the name of every section. Raises GraftError when two packages claim one name."""
    return tuple(dict(find_plugins(SECTIONS)))


def is_section(name: str) -> bool:
    """Return whether a section has this name; the entry points are read only if Graft has none itself."""
    return name in BUILT_IN[SECTIONS] or name in section_names()


@cache
def section_type(name: str) -> TypeAdapter[Any]:
    """Return what validates a section."""
    model = next(load for section, load in find_plugins(SECTIONS) if section == name)()
    return model if isinstance(model, TypeAdapter) else TypeAdapter(model)


@cache
def section_check(name: str) -> Callable[[Any], None] | None:
    """Return what checks a section against the rest of the spec, or None."""
    load = next((load for section, load in find_plugins(CHECKS) if section == name), None)
    return None if load is None else load()


@cache
def default_section(name: str) -> object:
    """Return the value of a section that a spec leaves out: all its defaults, or an empty list."""
    empties: tuple[object, ...] = ({}, [])
    for empty in empties:
        try:
            return section_type(name).validate_python(empty)
        except ValidationError:
            continue
    return None


class Sections(Mapping[str, object]):
    """The settings of every section; those that are not `declared` in the spec have their defaults."""

    def __init__(self, declared: Mapping[str, object]) -> None:
        self.declared = declared

    def __getitem__(self, name: str) -> object:
        if name in self.declared:
            return self.declared[name]
        if not is_section(name):
            raise KeyError(name)
        return default_section(name)

    def __iter__(self) -> Iterator[str]:
        return iter(section_names())

    def __len__(self) -> int:
        return len(section_names())
