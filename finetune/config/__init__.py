"""The sections that training adds to the spec language."""

from __future__ import annotations

from pydantic import BaseModel

from finetune.config.augment import AugmentSettings
from finetune.config.data import DataSettings
from finetune.config.export import CardSettings, ExportSettings
from finetune.config.finetune import FinetuneSettings
from finetune.config.search import SearchSettings

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
