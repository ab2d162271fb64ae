"""A kind of input for the tests of the fuzz suite: most cases do nothing, and some fail on purpose."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from bench.fuzz.case import Case, Kind

HANGS, WAITS, GROWS, DIES, RAISES = 3, 4, 5, 6, 7


def _open(folder: Path) -> Case:
    number = {name: int(name) for name in ("3", "4", "5", "6", "7")}

    def check(draw: random.Random, empty: Path) -> str:
        assert list(empty.iterdir()) == []
        which = int((folder / draw.random().hex()).read_text())
        if which == HANGS:
            sum(range(10**12))  # in C: no Python code could stop it
        if which == WAITS:
            time.sleep(60)
        if which == GROWS:
            bytearray(400 * 2**20)
        if which == DIES:
            os.abort()
        if which == RAISES:
            raise ValueError("planted")
        return "accepted" if str(which) not in number else "missed"

    return check


def _prepare(folder: Path) -> None:
    """Tests write which case does what."""
    folder.mkdir(exist_ok=True)


KIND = Kind("planted", 10, _prepare, _open)
