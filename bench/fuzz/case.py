"""What a kind of input is: how its cases are drawn, done and judged."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Case: TypeAlias = Callable[[random.Random, Path], str]
"""Draw one case, do it in an empty folder, and return its outcome, such as `refused`; failures are raised."""

ACCEPTED, REFUSED = "accepted", "refused"
MAX_MESSAGE = 500_000


class WrongError(Exception):
    """A case that ended without an error, and should not have."""


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    `count` cases are a full run. `prepare` writes into a folder what all cases start from; `open` is called
    in each process, with that folder, and returns the function for its cases.
    """

    name: str
    count: int
    prepare: Callable[[Path], None]
    open: Callable[[Path], Case]


def make_random(seed: int, kind: str, number: int) -> random.Random:
    """Return the random numbers of one case: they depend on nothing else."""
    return random.Random(f"{seed}/{kind}/{number}")


def refused(error: Exception) -> str:
    """Judge an error that a person would read: there must be a message, of a length that one can read."""
    message = str(error)
    if not message.strip() or len(message) > MAX_MESSAGE or "weights_only" in message:
        raise WrongError(f"a message of {len(message)} characters: {message[:200]}") from error
    return REFUSED
