"""Images that are read when they are needed, wherever they are stored."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from finetune.data.decoded import DECODED
from pixels import ImageError, decode_rgb, read_deep_max
from zoo.errors import GraftError


class DataError(GraftError):
    """Data that cannot be trained on; the message says what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class ImageSource(ABC):
    """A named image. Messages show `name`; `key` finds the image again in the same source.

    A scan adds the digest, and `deep_max`, the largest stored value of an image of 16 bits, else None.
    """

    name: str
    sha256: str = field(default="", compare=False, kw_only=True)
    deep_max: int | None = field(default=None, compare=False, kw_only=True)

    @property
    def key(self) -> str:
        """The name within the source, without the folder, which a user may move."""
        return self.name

    @abstractmethod
    def content(self) -> bytes:
        """Return the stored bytes. Raises: ImageError when they cannot be read."""

    def decode(self, content: bytes) -> NDArray[np.uint8]:
        """Return the pixels of stored bytes, RGB (H, W, 3). Raises: ImageError."""
        return decode_rgb(content)

    def read(self) -> NDArray[np.uint8]:
        """Return the pixels, RGB (H, W, 3). Raises: ImageError, which names the image."""
        try:
            return self.decode(self.content())
        except ImageError as error:
            raise ImageError(error.reason, self.name) from error

    def digest(self) -> str:
        """Return the SHA-256 of the stored content in hexadecimal; it is known already after a scan."""
        return self.sha256 or hashlib.sha256(self.content()).hexdigest()

    def scan(self) -> tuple[Self, NDArray[np.uint8], bytes]:
        """Read the image once. Out: the same image with what a scan adds, its pixels and its stored bytes.

        The pixels are kept for later at the network's size, where finetune/data/decoded.py is told that size.

        Raises: ImageError.
        """
        content = self.content()
        pixels = self.decode(content)
        digest, deep_max = hashlib.sha256(content).hexdigest(), read_deep_max(content)
        DECODED.keep(digest, pixels)
        return replace(self, sha256=digest, deep_max=deep_max), pixels, content


@dataclass(frozen=True, slots=True)
class FileImage(ImageSource):
    """A file in a folder; its key is the path within that folder, with forward slashes."""

    path: Path
    root: Path

    @property
    def key(self) -> str:
        return self.path.relative_to(self.root).as_posix()

    def content(self) -> bytes:
        return read_file(self.path, self.name)


@dataclass(frozen=True, slots=True)
class ArrayImage(ImageSource):
    """Pixels in memory, uint8 (H, W, 3)."""

    pixels: NDArray[np.uint8] = field(compare=False, repr=False)

    def content(self) -> bytes:
        return self.pixels.tobytes()

    def decode(self, content: bytes) -> NDArray[np.uint8]:
        return np.frombuffer(content, np.uint8).reshape(self.pixels.shape).copy()


def read_file(path: Path, name: str) -> bytes:
    """Return the file's bytes. Raises: ImageError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}", name) from error
