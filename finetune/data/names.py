"""The order of names, and class names in a JSON file."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finetune.data.images import DataError

MAX_CHARACTERS = 60
"""Longest part of a file's content that a message shows."""


def natural_key(name: str) -> tuple[Any, ...]:
    """Return a sort key that puts class2 before class10, without regard to case; ties go by the name."""
    parts = re.split(r"(\d+)", name)
    values = [int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)]
    return tuple(values), name


def read_names(path: Path, purpose: str) -> tuple[str, ...]:
    """Return the names in a JSON file: a list of distinct strings, or of objects with a `name`.

    In: the `purpose` of the file, for messages. Raises: DataError.
    """
    where = f"{path} ({purpose})"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: not a JSON list of names: {error}") from error
    if not isinstance(found, list) or not found:
        raise DataError(f"{where}: not a JSON list of names, one per class: found {_shorten(found)}")
    names: list[str] = []
    for item in found:
        name = item.get("name") if isinstance(item, dict) else item
        if not isinstance(name, str):
            raise DataError(f"{where}: found {_shorten(item)}; expected a list of strings, one per class")
        names.append(name)
    check_distinct(where, names)
    return tuple(names)


def check_distinct(where: str, names: Sequence[str]) -> None:
    """Raises: DataError for a name that stands for two classes."""
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise DataError(f"{where}: class names must differ; repeated: {', '.join(repeated)[:MAX_CHARACTERS]}")


def _shorten(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:MAX_CHARACTERS]
