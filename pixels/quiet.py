"""Pillow's warnings silenced while an image is decoded, also when many threads decode at once."""

from __future__ import annotations

import contextlib
import re
import threading
import warnings
from collections.abc import Iterator
from typing import cast

_FILTER = ("ignore", None, Warning, re.compile("PIL"), 0)
_lock = threading.Lock()
_inside = 0


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Ignore warnings raised within Pillow (large images, odd metadata): what matters is raised as an error.

    `warnings.catch_warnings` swaps a global of the process: several threads must not use it at once.
    """
    global _inside  # noqa: PLW0603  the filters are the process's, so their users are counted
    with _lock:
        _inside += 1
        if _FILTER not in warnings.filters:
            cast("list[object]", warnings.filters).insert(0, _FILTER)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _FILTER in warnings.filters:
                cast("list[object]", warnings.filters).remove(_FILTER)
