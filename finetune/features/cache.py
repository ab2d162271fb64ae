"""Features on disk, by what made them and by image, so that no image passes the same network twice.

One folder a network with its preprocessing; in it, one file a batch of images: the digests of their content
and an array for each column of features. Files are written whole under a temporary name and renamed, never
changed afterwards, and dropped when they cannot be read: losing any of them costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from finetune.runtime.precision import Precision

FORMAT = "1"
"""Counts up when a column changes its meaning, so that older files are no longer found."""
LIMIT_MB = 2048
STALE_S = 24 * 3600
DIGESTS = "digests"
DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)

Noted = TypeVar("Noted")
Columns = Mapping[str, NDArray[np.float32]]


def default_folder() -> Path:
    """`features` under GRAFT_CACHE, or under ~/.cache/graft where that is not set."""
    root = os.environ.get("GRAFT_CACHE")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "graft") / "features"


@dataclass(frozen=True)
class Found:
    """What the cache holds of N images: `known` (N,) tells which; rows of the others mean nothing."""

    known: NDArray[np.bool_]
    columns: Columns


@dataclass(frozen=True)
class FeatureCache:
    """The cached features of one network with its preprocessing; `key` is the hash of both.

    Several processes may read and write the same folder at once. `limit_mb` bounds the features of all
    networks together; what was read longest ago goes first.
    """

    key: str
    folder: Path = field(default_factory=default_folder)
    limit_mb: float = LIMIT_MB

    @property
    def home(self) -> Path:
        """The folder of this network."""
        return self.folder / f"{self.key[:32]}-{FORMAT}"

    def read(self, digests: Sequence[str], names: Iterable[str], dtype: str) -> Found:
        """Look up these columns of the images with these digests, computed in this arithmetic."""
        wanted, names = np.array(digests, dtype="S"), list(names)
        known = np.zeros(len(digests), dtype=bool)
        columns: dict[str, NDArray[np.float32]] = {}
        for path in sorted(self.home.glob(f"{dtype}-*.npz")):
            if known.all():
                break
            with _dropping(path):
                _fill(path, wanted, names, known, columns)
        return Found(known, columns)

    def write(self, digests: Sequence[str], columns: Columns, dtype: str) -> None:
        """Add the columns of these images. A folder that cannot be written costs a warning."""
        temporary = self.home / f".{uuid.uuid4().hex}.tmp"
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                arrays: dict[str, NDArray[np.generic]] = {DIGESTS: np.array(digests, dtype="S"), **columns}
                np.savez(file, allow_pickle=False, **arrays)  # zip with a checksum for each array
            temporary.replace(self.home / f"{dtype}-{uuid.uuid4().hex}.npz")
            prune(self.folder, self.limit_mb)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            warnings.warn(f"features cannot be cached in {self.folder}: {error}", stacklevel=2)

    def precision(self, device: str) -> Precision | None:
        """The precision that was measured as this network's fastest on this type of device."""
        return self.recall(f"precision-{device}", lambda values: Precision(**values))

    def remember(self, precision: Precision, device: str) -> None:
        """Keep the measured precision: features in another arithmetic would have to be computed again."""
        self.note(f"precision-{device}", asdict(precision))

    def recall(self, name: str, read: Callable[[dict[str, Any]], Noted]) -> Noted | None:
        """What `read` makes of the numbers noted under that name; a note that it stumbles over is dropped."""
        path = self.home / f"{name}.json"
        with _dropping(path):
            if path.exists():
                return read(json.loads(path.read_text()))
        return None

    def note(self, name: str, values: Mapping[str, object]) -> None:
        """Keep a few numbers that took time to find; not, where the folder cannot be written."""
        temporary = self.home / f".{uuid.uuid4().hex}.tmp"
        with contextlib.suppress(OSError):
            self.home.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(values))
            temporary.replace(self.home / f"{name}.json")


def prune(folder: Path, limit_mb: float) -> None:
    """Remove what was read longest ago until the folder is within its bound, and what a kill left behind."""
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
    wanted: NDArray[np.bytes_],
    names: Sequence[str],
    known: NDArray[np.bool_],
    columns: dict[str, NDArray[np.float32]],
) -> None:
    """Copy the rows of this file that are wanted and not yet known."""
    with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
        place = {digest: row for row, digest in enumerate(file[DIGESTS])}
        rows = [(i, place[digest]) for i, digest in enumerate(wanted) if not known[i] and digest in place]
        if not rows or not set(names) <= set(file.files):
            return
        to, source = np.array(rows).T
        arrays = {name: file[name] for name in names}
    for name, array in arrays.items():
        if array.dtype != np.float32 or array.shape[0] != len(place):
            raise ValueError(f"{name} holds {array.dtype} {array.shape} for {len(place)} images")
        column = columns.setdefault(name, np.zeros((len(wanted), *array.shape[1:]), dtype=np.float32))
        if column.shape[1:] != array.shape[1:]:
            raise ValueError(f"{name} has the shape {array.shape[1:]}, and {column.shape[1:]} in other files")
    for name, array in arrays.items():
        columns[name][to] = array[source]
    known[to] = True
    with contextlib.suppress(OSError):
        os.utime(path)


@contextlib.contextmanager
def _dropping(path: Path) -> Iterator[None]:
    """Inside the block, a file that turns out damaged is removed with a warning."""
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
