"""How a command ends where it cannot do its work: a message, and exit code 2."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import NoReturn

from pixels.text import printable

BAD_INPUT = 2


@contextlib.contextmanager
def explain_missing(extra: str) -> Iterator[None]:
    """If a package is not installed, say which extra of Graft brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        fail(
            f"this needs the package {error.name}, which is not installed\n"
            f"  expected: pip install '.[{extra}]' in a checkout of Graft"
        )


def fail(message: str) -> NoReturn:
    """Print a message for the user and exit with 2."""
    print(printable(message), file=sys.stderr)
    raise SystemExit(BAD_INPUT)
