"""Where one file of weights comes from and where it belongs, and the error for one that cannot be had."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zoo.errors import WeightsError

FOLDER_VARIABLE = "GRAFT_WEIGHTS"
TIMEOUT_S = 10.0
WHOLE_SHA256 = 64  # hex digits; fewer are the first ones
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")  # as torch.hub has it: resnet18-f37072fd.pth

Tell = Callable[[int, int | None], None]
"""Is told how many bytes are there, and of how many, where that is known."""


class WeightsUnavailableError(WeightsError):
    """Weights that are not on this machine and cannot be fetched now."""


class Place(Protocol):
    """One file of weights; `sha256` may hold the first digits only."""

    @property
    def sha256(self) -> str:
        """What is known of the hash, '' for nothing."""

    @property
    def origin(self) -> str:
        """Where the file comes from: a URL, or a path."""

    @property
    def home(self) -> Path:
        """Where the file is to be put by hand."""

    def find(self) -> Path | None:
        """Give the file if it is here; the network is not asked."""

    def expected_sha256(self, path: Path) -> str:
        """Give what is known of the hash of the file found at `path`."""

    def fetch(self, tell: Tell) -> Path:
        """Bring the file here, its hash checked. Raises WeightsError, WeightsUnavailableError."""


@dataclass(frozen=True)
class LocalFile:
    """A file of weights on this machine."""

    path: Path
    sha256: str

    @property
    def origin(self) -> str:
        """The file itself."""
        return str(self.path)

    @property
    def home(self) -> Path:
        """The file itself."""
        return self.path

    def find(self) -> Path | None:
        """Give the path if a file is there."""
        return self.path if self.path.is_file() else None

    def expected_sha256(self, path: Path) -> str:
        """Give the hash that the spec or the card states."""
        return self.sha256

    def fetch(self, tell: Tell) -> Path:
        """Tell that there is nowhere to fetch from. Raises WeightsUnavailableError."""
        if self.path.is_file():
            return self.path
        raise unavailable(self, "no such file")


def weights_folder() -> Path:
    """Give the folder that downloads lie in: GRAFT_WEIGHTS, else that of torch.hub."""
    import torch

    own = os.environ.get(FOLDER_VARIABLE)
    return Path(own).expanduser() if own else Path(torch.hub.get_dir()) / "checkpoints"


def sha256_of(path: Path) -> str:
    """Hash a file, in hex. Raises WeightsError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error


def hash_in_name(url: str) -> str:
    """Give the digits of the hash that a published file bears in its name, '' for none."""
    found = HASH_IN_NAME.search(url.rpartition("/")[2])
    return found[1] if found else ""


def hash_in_words(sha256: str) -> str:
    """Say a hash, or what is known of it."""
    if not sha256:
        return "sha256 not known"
    return f"sha256 {sha256}" if len(sha256) == WHOLE_SHA256 else f"sha256 beginning with {sha256}"


def check_arrival(place: Place, found: str, expected: str) -> None:
    """Hold the hash of what came over the network against what was published. Raises WeightsError."""
    if not found.startswith(expected):
        raise WeightsError(
            f"{place.origin}: what came is not the file that was published\n"
            f"  expected: {hash_in_words(expected)}\n  found:    sha256 {found}"
        )


def unavailable(place: Place, reason: str) -> WeightsUnavailableError:
    """Make the error that names the file, its hash and the folder to put it in."""
    home = place.home
    lines = [f"{home.name}: these weights are not on this machine: {reason}"]
    if place.origin != str(home):
        lines.append(f"  from:   {place.origin}")
    lines += [f"  hash:   {hash_in_words(place.sha256)}", f"  put {home.name} into the folder {home.parent}"]
    if place.origin != str(home):
        lines[-1] += ", or run `python -m zoo pull SPEC` where there is a network"
    return WeightsUnavailableError("\n".join(lines))
