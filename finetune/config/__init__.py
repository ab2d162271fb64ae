"""The sections that training adds to the spec language."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from finetune.config.augment import AugmentSettings
from finetune.config.data import DataSettings
from finetune.config.export import CardSettings, ExportSettings
from finetune.config.finetune import FinetuneSettings
from finetune.config.search import SearchSettings

if TYPE_CHECKING:
    import zoo

Section = TypeVar("Section")

SECTIONS: dict[str, type[BaseModel]] = {
    "data": DataSettings,
    "augment": AugmentSettings,
    "finetune": FinetuneSettings,
    "export": ExportSettings,
    "search": SearchSettings,
    "card": CardSettings,
}

__all__ = [
    "SECTIONS",
    "AugmentSettings",
    "CardSettings",
    "DataSettings",
    "ExportSettings",
    "FinetuneSettings",
    "SearchSettings",
    "get_section",
]


def get_section(spec: zoo.Spec, kind: type[Section]) -> Section:
    """Return the spec's section of that type."""
    return next(value for value in spec.sections.values() if isinstance(value, kind))
