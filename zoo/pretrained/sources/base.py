"""A source of pretrained weights: what the publisher says about them, and the one file that holds them."""

from __future__ import annotations

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from files.paths import expand_home, is_file
from zoo import limits
from zoo.errors import WeightsError, WeightsUnavailableError
from zoo.spec.header import TrainedInput

FOLDER_VARIABLE = "GRAFT_WEIGHTS"
UNKNOWN_LICENCE = "not stated"
SHA256_DIGITS = 64
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")  # the convention of torch.hub: resnet18-f37072fd.pth


@dataclass(frozen=True)
class WeightsFile(ABC):
    """One file of weights. `sha256` is its hash in hex: all digits, the first ones, or '' if unknown."""

    sha256: str

    @property
    @abstractmethod
    def origin(self) -> str:
        """Where the file comes from: a URL, or a path."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """Where the file belongs on this machine. A user may also put it there by hand."""

    @abstractmethod
    def fetch(self) -> Path:
        """Download the file and check its hash, even if a damaged copy of it is on this machine.

        Raises: WeightsError, WeightsUnavailableError.
        """

    @property
    def is_local(self) -> bool:
        """Whether there is nowhere to download the file from."""
        return self.origin == str(self.path)

    @property
    def way_out(self) -> str:
        """How a user gets the file onto this machine."""
        by_hand = f"put {self.path.name} into the folder {self.path.parent}"
        return (
            by_hand if self.is_local else f"{by_hand}, or run `graft zoo pull SPEC` with a network connection"
        )

    @property
    def repair(self) -> str:
        """What a user does about a damaged file."""
        if self.is_local:
            return "replace it by the file with the expected hash, or state the hash of this one"
        return "delete it, or download it again with `graft zoo pull SPEC`"

    def find(self) -> Path | None:
        """Return the path of the file if it is on this machine. Never uses the network."""
        return self.path if is_file(self.path) else None

    def expected_sha256(self, found: Path) -> str:
        """Return what is known about the hash of the file found at a path."""
        return self.sha256

    def verify(self, found: Path) -> str:
        """Compute the hash of the file found at a path, compare it with the expected one and return it.

        Raises: WeightsError if they differ.
        """
        actual, expected = sha256_of(found), self.expected_sha256(found)
        if actual.startswith(expected):
            return actual
        raise WeightsError(
            f"{found}: damaged, or not the file that was published\n"
            f"  expected: {describe_hash(expected)}\n"
            f"  found:    sha256 {actual}, {found.stat().st_size} bytes\n  {self.repair}"
        )

    def unavailable(self, reason: str) -> WeightsUnavailableError:
        """Return the error that names the file, its origin, its hash and the folder to put it in."""
        lines = [f"{self.path.name}: these weights are not on this machine: {reason}"]
        if not self.is_local:
            lines.append(f"  from:   {self.origin}")
        lines += [f"  hash:   {describe_hash(self.sha256)}", f"  {self.way_out}"]
        return WeightsUnavailableError("\n".join(lines))


@dataclass(frozen=True)
class Source:
    """Pretrained weights as their publisher describes them, with the spec's own entry on top.

    `title` names them for people; `classes` is None where it is not known. `rename` maps old key names to
    current ones; `extras` are modules in the file that networks are built without here. `reference` builds
    the network that the weights were trained in, on the meta device. `convert` reads a file in a format of
    the publisher's own, for that many input channels and that height and width. `choices` are those of the
    spec that the weights were trained with.
    """

    title: str
    file: WeightsFile
    licence: str = UNKNOWN_LICENCE
    classes: int | None = None
    input: TrainedInput = field(default_factory=TrainedInput)
    rename: Mapping[str, str] = field(default_factory=dict)
    extras: tuple[str, ...] = ()
    reference: Callable[[], nn.Module] | None = None
    convert: Callable[[Path, int, tuple[int, int]], dict[str, Tensor]] | None = None
    choices: Mapping[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Title and URL in one line, without paths on this machine."""
        hidden = self.file.is_local or self.title == self.file.origin
        return self.title if hidden else f"{self.title}, {self.file.origin}"


def weights_folder() -> Path:
    """Return the folder of downloaded weights: GRAFT_WEIGHTS, else that of torch.hub."""
    own = os.environ.get(FOLDER_VARIABLE)
    return expand_home(own) if own else Path(torch.hub.get_dir()) / "checkpoints"


def sha256_of(path: Path) -> str:
    """Return the hash of a file, in hex. Raises WeightsError when it cannot be read."""
    try:
        size = path.stat().st_size
        if size > limits.MAX_WEIGHTS_BYTES:
            raise WeightsError(
                f"{path}: too large: {size:,} bytes\n  expected: at most {limits.MAX_WEIGHTS_BYTES:,}"
            )
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error


def hash_in_name(url: str) -> str:
    """Return the first digits of the hash that a file has in its name, '' for none."""
    found = HASH_IN_NAME.search(url.rpartition("/")[2])
    return found[1] if found else ""


def describe_hash(sha256: str) -> str:
    """Return `sha256 …`, or how much of it is known."""
    if not sha256:
        return "sha256 not known"
    return f"sha256 {sha256}" if len(sha256) == SHA256_DIGITS else f"sha256 beginning with {sha256}"
