"""The order in which a person counts: class2 before class10."""

from __future__ import annotations

import re
from typing import Any


def natural_key(name: str) -> tuple[Any, ...]:
    """Sort key: text without regard to case, digits by value, the name itself to settle ties."""
    parts = re.split(r"(\d+)", name)
    values = [int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)]
    return tuple(values), name
