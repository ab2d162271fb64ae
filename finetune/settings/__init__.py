"""The sections that training adds to the spec language, one file each."""

from __future__ import annotations

from pydantic import BaseModel

from finetune.settings.augment import AugmentSettings
from finetune.settings.card import CardSettings
from finetune.settings.data import DataSettings
from finetune.settings.export import ExportSettings
from finetune.settings.finetune import FinetuneSettings
from finetune.settings.search import SearchSettings

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
]
