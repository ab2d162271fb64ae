"""Shapes that several settings share: a section that refuses what it does not know, and a switch that is off."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_validator

T = TypeVar("T")

_OFF = Annotated[None, WithJsonSchema({"enum": [None, "none"]})]


class Settings(BaseModel):
    """A mapping of the spec: frozen, strict about types, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)


class OneOf(Settings):
    """A mapping that names exactly one way of doing something, such as `{norm: 1.0}`."""

    @model_validator(mode="after")
    def _check_one_given(self) -> Any:
        names = list(type(self).model_fields)
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"one of {', '.join(names)} is wanted, {found} is given")
        return self

    @property
    def chosen(self) -> tuple[str, Any]:
        """The name that is given and its value."""
        return next((name, value) for name, value in self if value is not None)


def _read_none(value: object) -> object:
    return None if value == "none" else value


Off = Annotated[T | _OFF, BeforeValidator(_read_none)]
"""A value, or `none` for a switch that is off."""
