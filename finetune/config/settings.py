"""Base classes of the sections: a closed mapping, a choice of one key, and a value that may be off."""

from __future__ import annotations

from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""A random seed that every library takes."""


class Settings(BaseModel):
    """A mapping of a spec: immutable, strict about types, without unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        defer_build=True,  # most processes read few of the sections
    )


class OneOf(Settings):
    """A mapping with exactly one key, such as `{norm: 1.0}`."""

    @model_validator(mode="after")
    def _check_one_given(self) -> Self:
        given = [name for name, value in self if value is not None]
        if len(given) != 1:
            names = ", ".join(type(self).model_fields)
            raise ValueError(f"expected one of {names}; found {' and '.join(given) or 'none of them'}")
        return self

    @property
    def chosen(self) -> tuple[str, Any]:
        """The key and its value."""
        return next((name, value) for name, value in self if value is not None)


class _NoneWord:
    """Reads `none` as None, and allows it in the JSON schema."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_read_none, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"const": "none"}, handler(schema)]}


def _read_none(value: object) -> object:
    return None if value == "none" else value


Off = Annotated[T | None, _NoneWord()]
"""A value, or `none`."""
