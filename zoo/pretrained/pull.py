"""Fetch a spec's weights ahead, so that later nothing needs a network: `python -m zoo pull SPEC`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import WeightsError
from zoo.pretrained.place import Place
from zoo.pretrained.progress import showing_progress
from zoo.pretrained.sources import Source, find_source
from zoo.pretrained.tensors import check_hash
from zoo.spec.spec import Spec

DEFAULT = "default"
MEGABYTE = 10**6


@dataclass(frozen=True)
class Pulled:
    """One entry of weights that is now on this machine; `fetched` tells whether it was not before."""

    name: str
    file: Path
    sha256: str
    size_bytes: int
    fetched: bool


def pull(
    spec: Spec, names: tuple[str, ...] = (), tell: Callable[[Pulled], None] | None = None
) -> list[Pulled]:
    """Bring entries of a spec's weights to this machine, their hashes checked; a damaged file comes anew.

    Without names: those that the spec declares itself, and for a model of another library its default.
    `tell` hears of each one as it is done. Raises WeightsError, WeightsUnavailableError.
    """
    pulled = []
    for name in names or _own(spec):
        done = _pull(name, find_source(spec, name))
        pulled.append(done)
        if tell:
            tell(done)
    if not pulled:
        raise WeightsError(f"{spec.path}: declares no weights, so there is nothing to pull")
    return pulled


def pulled_in_words(done: Pulled) -> str:
    """Say what was fetched, or that it was here, and where it lies."""
    how = "fetched" if done.fetched else "is here already"
    return f"{done.name}: {how}: {done.file} ({done.size_bytes / MEGABYTE:.1f} MB, sha256 {done.sha256})"


def _own(spec: Spec) -> tuple[str, ...]:
    declared = spec.document.get("weights")
    own = tuple(getattr(declared, "items", ()))
    return own or tuple(name for name in spec.weights if name == DEFAULT)


def _pull(name: str, source: Source) -> Pulled:
    place = source.place
    path = place.find()
    sha256 = _good_hash(place, path) if path else None
    if path is not None and sha256 is not None:
        return Pulled(name, path, sha256, path.stat().st_size, fetched=False)
    with showing_progress(place.home.name) as tell:
        path = place.fetch(tell)
    return Pulled(name, path, check_hash(path, place), path.stat().st_size, fetched=True)


def _good_hash(place: Place, path: Path) -> str | None:
    """Give the file's hash if it is the right one; a wrong one with nowhere to fetch from is an error."""
    try:
        return check_hash(path, place)
    except WeightsError:
        if place.origin == str(place.home):
            raise
        return None
