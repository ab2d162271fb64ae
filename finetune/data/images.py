"""One image that can be read when it is needed, wherever it lies."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixels import ImageError, decode_rgb


@dataclass(frozen=True, slots=True)
class ImageSource(ABC):
    """A named image. `name` is what a person is told; `key` finds it again in the same source."""

    name: str
    sha256: str = field(default="", compare=False, kw_only=True)

    @property
    def key(self) -> str:
        """The name within the source: without the folder that a user may move."""
        return self.name

    @abstractmethod
    def content(self) -> bytes:
        """The bytes as they are stored. Raises: ImageError when they cannot be read."""

    def read(self) -> NDArray[np.uint8]:
        """Out: uint8 (H, W, 3), RGB. Raises: ImageError, naming the image."""
        try:
            return decode_rgb(self.content())
        except ImageError as error:
            raise ImageError(error.reason, self.name) from error

    def digest(self) -> str:
        """SHA-256 of the stored content, in hexadecimal; known already where the image was scanned."""
        return self.sha256 or hashlib.sha256(self.content()).hexdigest()


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
class TableImage(ImageSource):
    """A cell of a Hugging Face data set whose images are not decoded: bytes, or the path of a file."""

    split: str
    table: Any = field(compare=False, repr=False)
    column: str
    row: int

    @property
    def key(self) -> str:
        return f"{self.split}/{self.row}"

    def content(self) -> bytes:
        cell = self.table[self.row][self.column]
        if cell is None:
            raise ImageError("no image in this row", self.name)
        if cell["bytes"] is not None:
            return bytes(cell["bytes"])
        if cell["path"] is None:
            raise ImageError("no image in this row", self.name)
        return read_file(Path(cell["path"]), self.name)


@dataclass(frozen=True, slots=True)
class ArrayImage(ImageSource):
    """Pixels in memory, uint8 (H, W, 3)."""

    pixels: NDArray[np.uint8] = field(compare=False, repr=False)

    def content(self) -> bytes:
        return self.pixels.tobytes()

    def read(self) -> NDArray[np.uint8]:
        return self.pixels.copy()


def read_file(path: Path, name: str) -> bytes:
    """The file's bytes. Raises: ImageError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}", name) from error
