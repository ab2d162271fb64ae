"""The reference of all keys, generated from the settings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from finetune.config import SECTIONS
from finetune.config.settings import OneOf
from finetune.losses.registry import LOSSES
from finetune.optim.optimizers import OPTIMIZERS
from finetune.optim.schedules import SCHEDULES
from finetune.transforms.augmentations import AUGMENTATIONS
from zoo.registry import Call, Registry

REGISTRIES = {
    "augment": AUGMENTATIONS,
    "finetune.optimizer": OPTIMIZERS,
    "finetune.loss": LOSSES,
    "finetune.schedule": SCHEDULES,
}


def keys_document() -> str:
    """Return all keys by section, and the values of the keys that name a function, as Markdown tables."""
    parts = []
    for section, model in SECTIONS.items():
        rows = list(_key_rows(section, model))
        if rows:
            parts.append("\n".join([f"### {section}", "", "| key | default | |", "|---|---|---|", *rows]))
    for key, registry in REGISTRIES.items():
        head = ["| value, with its defaults | |", "|---|---|"]
        parts.append("\n".join([f"### Values of {key}", "", *head, *_call_rows(registry)]))
    return "\n\n".join(parts)


def _key_rows(section: str, model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name == "root":
            return  # a list: see its registry
        default = "" if field.is_required() else f"`{_format(field.get_default(call_default_factory=True))}`"
        description = " ".join(
            " ".join([field.description or "", *map(_nested, _models(field.annotation))]).split()
        )
        yield f"| `{section}.{name}` | {default} | {description} |".replace("  ", " ")


def _models(annotation: object) -> list[type[BaseModel]]:
    """Return the mappings that a key accepts."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _nested(model: type[BaseModel]) -> str:
    """Describe a mapping, and list its keys with their defaults."""
    given = (
        f"{name}: …" if field.is_required() else f"{name}: {_format(field.default)}"
        for name, field in model.model_fields.items()
    )
    joiner = " or " if issubclass(model, OneOf) else ", "
    return f"{(model.__doc__ or '').partition(chr(10))[0]} Keys: `{joiner.join(given)}`."


def _call_rows(registry: Registry) -> Iterator[str]:
    for name in registry.names():
        entry = registry[name]
        given = {
            p.name: _format(p.default) if p.default is not inspect.Parameter.empty else "…"
            for p in entry.parameters
        }
        arguments = ", ".join(f"{key}: {value}" for key, value in given.items())
        yield f"| `{name}: {{{arguments}}}` | {entry.doc} |" if given else f"| `{name}` | {entry.doc} |"


def _format(value: object) -> str:
    """Format a value as in a spec, on one line."""
    if value is None:
        return "none"
    if isinstance(value, Call):
        return value.op
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_none=True)
    plain = to_jsonable_python(value)
    if isinstance(plain, dict):
        return "{" + ", ".join(f"{key}: {_format(item)}" for key, item in plain.items()) + "}"
    if isinstance(plain, list):
        return "[" + ", ".join(_format(item) for item in plain) + "]"
    if isinstance(plain, bool):
        return str(plain).lower()
    return f"{plain:g}" if isinstance(plain, float) else str(plain)
