"""Features on disk, by network and by image, so that no image passes the same network twice.

There is one folder per network with its preprocessing, and in it one file per batch of images: the digests of
their content and an array for each column of features. Files are written under a temporary name and renamed,
never changed, and removed when they cannot be read: losing one costs only time.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from files.paths import cache_folder, expand_home
from finetune.records.disk import WriteError
from finetune.records.files import write_text

FORMAT = "2"
"""Increased when a column changes its meaning, so that older files are not found."""
LIMIT_MB = 2048
STALE_S = 24 * 3600
DIGESTS = "digests"
DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)

Note = TypeVar("Note")
Columns = Mapping[str, NDArray[np.float32]]


def default_folder() -> Path:
    """Return the folder `features` under GRAFT_CACHE, else under ~/.cache/graft."""
    return cache_folder() / "features"


def find_folder(requested: str | None) -> Path:
    """Return the folder that `finetune.cache` names, by default the user's."""
    return expand_home(requested) if requested else default_folder()


@dataclass(frozen=True)
class Found:
    """The columns of N images; `known` (N,) is True for those in the cache, the only rows with a meaning."""

    known: NDArray[np.bool_]
    columns: Columns


@dataclass(frozen=True)
class FeatureCache:
    """The cached features of one network with its preprocessing; `key` is the hash of both.

    Several processes may use the same folder at once. `limit_mb` bounds the features of all networks
    together; the least recently read are removed first.
    """

    key: str
    folder: Path = field(default_factory=default_folder)
    limit_mb: float = LIMIT_MB

    @property
    def home(self) -> Path:
        """The folder of this network."""
        return self.folder / f"{self.key[:32]}-{FORMAT}"

    def read(self, digests: Sequence[str], names: Iterable[str], arithmetic: str) -> Found:
        """Look up columns of the images with these digests, computed in this arithmetic."""
        requested, names = np.array(digests, dtype="S"), list(names)
        known = np.zeros(len(digests), dtype=bool)
        columns: dict[str, NDArray[np.float32]] = {}
        for path in sorted(self.home.glob(f"{arithmetic}-*.npz")):
            if known.all():
                break
            with _remove_damaged(path):
                _fill(path, requested, names, known, columns)
        return Found(known, columns)

    def write(self, digests: Sequence[str], columns: Columns, arithmetic: str) -> None:
        """Add the columns of these images; warn when the folder cannot be written."""
        temporary = self.home / f".{uuid.uuid4().hex}.tmp"
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                arrays: dict[str, NDArray[np.generic]] = {DIGESTS: np.array(digests, dtype="S"), **columns}
                np.savez(file, allow_pickle=False, **arrays)  # zip with a checksum for each array
            temporary.replace(self.home / f"{arithmetic}-{uuid.uuid4().hex}.npz")
            prune(self.folder, self.limit_mb)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            warnings.warn(f"features cannot be cached in {self.folder}: {error}", stacklevel=2)

    def load_note(self, name: str, read: Callable[[str], Note]) -> Note | None:
        """Read the text saved under that name with `read`; one that it cannot read is removed."""
        path = self.home / f"{name}.json"
        with _remove_damaged(path):
            if path.exists():
                return read(path.read_text(encoding="utf-8"))
        return None

    def save_note(self, name: str, text: str) -> None:
        """Save a short JSON text, unless the folder cannot be written."""
        with contextlib.suppress(WriteError):
            write_text(self.home / f"{name}.json", text)


def prune(folder: Path, limit_mb: float) -> None:
    """Remove the least recently read files until the folder is within its bound, and old temporary files."""
    for left in folder.glob("*/.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_S:
                left.unlink()
    files = []
    for path in folder.glob("*/*.npz"):
        with contextlib.suppress(OSError):  # another process may be pruning too
            status = path.stat()
            files.append((status.st_mtime_ns, status.st_size, path))
    surplus = sum(size for _, size, _ in files) - limit_mb * 1e6
    for _, size, path in sorted(files)[:-1]:  # the newest was just written
        if surplus <= 0:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            surplus -= size


def _fill(
    path: Path,
    requested: NDArray[np.bytes_],
    names: Sequence[str],
    known: NDArray[np.bool_],
    columns: dict[str, NDArray[np.float32]],
) -> None:
    """Copy the rows of a file that are requested and not yet known."""
    with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
        place = {digest: row for row, digest in enumerate(file[DIGESTS])}
        rows = [(i, place[digest]) for i, digest in enumerate(requested) if not known[i] and digest in place]
        if not rows or not set(names) <= set(file.files):
            return
        to, source = np.array(rows).T
        arrays = {name: file[name] for name in names}
    for name, array in arrays.items():
        if array.dtype != np.float32 or array.shape[0] != len(place):
            raise ValueError(f"{name} holds {array.dtype} {array.shape} for {len(place)} images")
        column = columns.setdefault(name, np.zeros((len(requested), *array.shape[1:]), dtype=np.float32))
        if column.shape[1:] != array.shape[1:]:
            raise ValueError(f"{name} has the shape {array.shape[1:]}, and {column.shape[1:]} in other files")
    for name, array in arrays.items():
        columns[name][to] = array[source]
    known[to] = True
    with contextlib.suppress(OSError):
        os.utime(path)


@contextlib.contextmanager
def _remove_damaged(path: Path) -> Iterator[None]:
    """Remove the file, with a warning, when the block finds it damaged."""
    try:
        yield
    except FileNotFoundError:
        return  # pruned by another process
    except DAMAGE as error:
        with contextlib.suppress(OSError):
            path.unlink()
        warnings.warn(
            f"{path}: this file of cached features is damaged ({error}); it was removed, and its images are"
            " computed again",
            stacklevel=3,
        )
