"""Download a file of weights: bounded in size and time, to a temporary name, checked, renamed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn
from urllib3.exceptions import HTTPError

from files import replacing
from zoo import limits
from zoo.errors import WeightsError

TIMEOUT_S = 10.0
"""For an answer, and for each part of it."""
RETRIES = 1
"""For a connection that breaks."""
CHUNK_BYTES = 1 << 20
WINDOW_S = 60.0
MIN_BYTES_PER_S = 1000.0
"""A server that sends less, on average over a window, is given up."""
STALE_S = 3600.0
"""A partial file that nobody has written to for so long was left by a process that was killed."""
OK, PARTIAL = 200, 206


class DownloadError(Exception):
    """A file cannot be had from its server now; the message is the reason."""


@contextmanager
def downloaded(url: str, path: Path) -> Iterator[Path]:
    """Download to a temporary file beside `path`, which takes its place unless the block fails.

    Raises: DownloadError; WeightsError where the file cannot be written.
    """
    try:
        with replacing(path) as part:
            _remove_leftovers(path)
            with part.open("wb") as file:
                _download(url, file)
            yield part
    except OSError as error:
        raise WeightsError(f"{path.parent}: cannot be written to: {error.strerror}") from error


def _download(url: str, file: IO[bytes]) -> None:
    """Download into a file; a broken connection continues where it broke, where the server can."""
    for left in reversed(range(RETRIES + 1)):
        try:
            _receive(url, file)
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            raise DownloadError("the server redirects to what is no web address") from error
        except (requests.RequestException, HTTPError) as error:
            if not left:
                raise DownloadError(_reason(error)) from error
        else:
            return


def _receive(url: str, file: IO[bytes]) -> None:
    headers = {"Accept-Encoding": "identity"}  # what is compressed has another hash, and may grow without end
    if start := file.tell():
        headers["Range"] = f"bytes={start}-"
    with requests.get(url, stream=True, timeout=TIMEOUT_S, headers=headers) as answer:
        if answer.status_code not in (OK, PARTIAL):
            raise DownloadError(f"the server answers {answer.status_code} {answer.reason}")
        continued = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        if answer.status_code == OK or not continued:
            file.seek(0)
            file.truncate()
        stated = answer.headers.get("Content-Length", "")
        size = file.tell() + int(stated) if stated.isdecimal() else None
        _check_size(size or 0)
        _copy(answer, file, size)


def _copy(answer: requests.Response, file: IO[bytes], size: int | None) -> None:
    started = window_s = time.monotonic()
    window_bytes = 0
    with _progress(file.tell(), size) as progress:
        while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=False):
            file.write(chunk)
            _check_size(file.tell())
            progress.update(progress.task_ids[0], completed=file.tell())
            now, window_bytes = time.monotonic(), window_bytes + len(chunk)
            if now - window_s >= WINDOW_S:
                if window_bytes < MIN_BYTES_PER_S * (now - window_s):
                    raise DownloadError(f"the server sends less than {MIN_BYTES_PER_S:g} bytes per second")
                window_s, window_bytes = now, 0
            if now - started > limits.MAX_DOWNLOAD_S:
                raise DownloadError(f"the download takes more than {limits.MAX_DOWNLOAD_S:g} s")


def _check_size(size: int) -> None:
    if size > limits.MAX_WEIGHTS_BYTES:
        raise DownloadError(f"the file has more than {limits.MAX_WEIGHTS_BYTES:,} bytes")


def _progress(done: int, size: int | None) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), DownloadColumn())
    progress = Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    )
    progress.add_task("downloading", total=size, completed=done)
    return progress


def _remove_leftovers(path: Path) -> None:
    for name in path.parent.iterdir():
        is_partial = name.name.startswith(f".{path.name}.") and name.suffix[1:].isdigit()
        if is_partial and time.time() - name.stat().st_mtime > STALE_S:
            name.unlink(missing_ok=True)


def _reason(error: BaseException) -> str:
    """Return the message of the exception that was raised first."""
    while error.__context__ is not None:
        error = error.__context__
    return f"no answer within {TIMEOUT_S:g} s" if isinstance(error, TimeoutError) else str(error)
