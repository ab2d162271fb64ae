"""How a command ends where it cannot do its work: a message, and exit code 2."""

from __future__ import annotations

import contextlib
import errno
import socket
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


def require_free(host: str, port: int, option: str = "--port") -> None:
    """Exit with a message if nothing can listen there, before a server's slow imports. Port 0 is any port.

    `option` is the one that chose the port.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        fail(f"cannot listen on {host}: {getattr(error, 'strerror', error)}. Try another --host")
    try:
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # Python appends the address
        option = "--host" if error.errno == errno.EADDRNOTAVAIL else option
        fail(f"cannot listen on {host}{f':{port}' if port else ''}: {reason}. Try another {option}")
