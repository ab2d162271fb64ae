"""Where the seconds of a run go, without a line in the code that is timed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

REST = "the rest"


class Stopwatch:
    """`seconds` by part; a part that begins inside another one counts for itself alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open = [REST]
        self._since = time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds of all parts."""
        return sum(self.seconds.values())

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What happens in here is that part; also a decorator."""
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    @contextmanager
    def running(self, parts: Mapping[Callable[..., Any], str]) -> Iterator[None]:
        """Time all that happens in here. In: functions and methods, and which part each of them is."""
        with ExitStack() as stack:
            for function, name in parts.items():
                timed = self.part(name)(function)
                for owner, attribute in _places(function):
                    stack.enter_context(patch.object(owner, attribute, timed))
            self._since = time.perf_counter()
            yield
            self._charge()

    def _charge(self) -> None:
        now, name = time.perf_counter(), self._open[-1]
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


def _places(function: Callable[..., Any]) -> list[tuple[Any, str]]:
    """Every module that has the function under a name, or the class that it is a method of."""
    home = vars(sys.modules[function.__module__])
    owners = [*sys.modules.values(), *(value for value in home.values() if isinstance(value, type))]
    return [
        (owner, name)
        for owner in owners
        for name, value in list(getattr(owner, "__dict__", {}).items())
        if value is function
    ]
