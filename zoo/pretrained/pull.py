"""Download a spec's weights in advance, so that later nothing needs a network: `graft zoo pull SPEC`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import WeightsError
from zoo.pretrained.sources import find_source
from zoo.pretrained.sources.base import WeightsFile
from zoo.spec.spec import Spec

DEFAULT = "default"
MEGABYTE = 10**6


@dataclass(frozen=True)
class Pulled:
    """One entry of weights that is on this machine. `downloaded`: it was not there before."""

    name: str
    file: Path
    sha256: str
    size_bytes: int
    downloaded: bool

    def __str__(self) -> str:
        how = "downloaded" if self.downloaded else "already here"
        return f"{self.name}: {how}: {self.file} ({self.size_bytes / MEGABYTE:.1f} MB, sha256 {self.sha256})"


def pull(spec: Spec, names: tuple[str, ...] = ()) -> Iterator[Pulled]:
    """Download entries of a spec's weights, one for each step, and check their hashes; replace damaged files.

    Without names: those that the spec declares itself, and for a model of another library its default.

    Raises: WeightsError, WeightsUnavailableError.
    """
    declared = spec.document.get("weights")
    own = tuple(getattr(declared, "items", ())) or tuple(name for name in spec.weights if name == DEFAULT)
    if not (names or own):
        raise WeightsError(f"{spec.path}: declares no weights, so there is nothing to pull")
    for name in names or own:
        file = find_source(spec, name).file
        found = file.find()
        downloaded = found is None or not _is_intact(file, found)
        path = file.fetch() if found is None or downloaded else found
        yield Pulled(name, path, file.verify(path), path.stat().st_size, downloaded)


def _is_intact(file: WeightsFile, found: Path) -> bool:
    """Check the hash; a wrong one is an error for a file that cannot be downloaded again."""
    try:
        file.verify(found)
    except WeightsError:
        if file.is_local:
            raise
        return False
    return True
