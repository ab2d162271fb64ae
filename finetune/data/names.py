"""Class names in a JSON file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from finetune.data.errors import DataError

SHOWN = 60
"""Letters of what was found in place of names."""


def read_names(path: Path, what: str) -> tuple[str, ...]:
    """The names in a JSON file: a list of strings, or of objects with a `name`; each once.

    In: `what` the file is for, as messages call it. Raises: DataError.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} ({what}): not a JSON list of names: {error}") from error
    if not isinstance(found, list) or not found:
        shown = json.dumps(found, ensure_ascii=False)[:SHOWN]
        raise DataError(f"{path} ({what}): not a JSON list of names, one a class: found {shown}")
    names: list[str] = []
    for item in found:
        name = item.get("name") if isinstance(item, dict) else item
        if not isinstance(name, str):
            shown = json.dumps(item, ensure_ascii=False)[:SHOWN]
            raise DataError(f"{path} ({what}): a list of strings is wanted, one a class; found {shown}")
        names.append(name)
    check_distinct(f"{path} ({what})", names)
    return tuple(names)


def check_distinct(where: str, names: Sequence[str]) -> None:
    """Raises: DataError for a name that stands for two classes."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(f"{where}: class names must differ; twice: {', '.join(twice)[:SHOWN]}")
