"""Every key of a recipe, with what it does when it is left out: for people, from the settings themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from finetune.config import SECTIONS
from finetune.config.switch import OneOf
from finetune.losses.registry import LOSSES
from finetune.optim.optimizers import OPTIMIZERS
from finetune.optim.schedules import SCHEDULES
from finetune.transforms.augment import AUGMENTATIONS
from zoo.registry import Call, Registry

REGISTRIES = {
    "augment": AUGMENTATIONS,
    "finetune.optimizer": OPTIMIZERS,
    "finetune.loss": LOSSES,
    "finetune.schedule": SCHEDULES,
}


def keys_document() -> str:
    """All keys by section, and the calls that some of them take, as Markdown tables."""
    parts = []
    for section, model in SECTIONS.items():
        rows = list(_key_rows(section, model))
        if rows:
            parts.append("\n".join([f"### {section}", "", "| key | default | |", "|---|---|---|", *rows]))
    for key, registry in REGISTRIES.items():
        head = ["| call, with its defaults | |", "|---|---|"]
        parts.append("\n".join([f"### Calls of {key}", "", *head, *_call_rows(registry)]))
    return "\n\n".join(parts)


def _key_rows(section: str, model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name == "root":
            return  # a list of calls: see its registry
        default = "" if field.is_required() else f"`{_written(field.get_default(call_default_factory=True))}`"
        words = " ".join(
            " ".join([field.description or "", *map(_nested, _models(field.annotation))]).split()
        )
        yield f"| `{section}.{name}` | {default} | {words} |".replace("  ", " ")


def _models(annotation: object) -> list[type[BaseModel]]:
    """The mappings that a key may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _nested(model: type[BaseModel]) -> str:
    """What a mapping is for, and its keys with their defaults."""
    given = (
        f"{name}: …" if field.is_required() else f"{name}: {_written(field.default)}"
        for name, field in model.model_fields.items()
    )
    joiner = " or " if issubclass(model, OneOf) else ", "
    return f"{(model.__doc__ or '').partition(chr(10))[0]} Keys: `{joiner.join(given)}`."


def _call_rows(registry: Registry) -> Iterator[str]:
    for name in registry.names():
        entry = registry[name]
        given = {
            p.name: _written(p.default) if p.default is not inspect.Parameter.empty else "…"
            for p in entry.parameters
        }
        arguments = ", ".join(f"{key}: {value}" for key, value in given.items())
        yield f"| `{name}: {{{arguments}}}` | {entry.doc} |" if given else f"| `{name}` | {entry.doc} |"


def _written(value: object) -> str:
    """A value as a spec says it, on one line; a switch that is off is `none`."""
    if value is None:
        return "none"
    if isinstance(value, Call):
        return value.op
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_none=True)
    plain = to_jsonable_python(value)
    if isinstance(plain, dict):
        return "{" + ", ".join(f"{key}: {_written(item)}" for key, item in plain.items()) + "}"
    if isinstance(plain, list):
        return "[" + ", ".join(_written(item) for item in plain) + "]"
    if isinstance(plain, bool):
        return str(plain).lower()
    return f"{plain:g}" if isinstance(plain, float) else str(plain)
