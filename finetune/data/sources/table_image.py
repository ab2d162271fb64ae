"""Images in the rows of a table: encoded files, or lists of numbers."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finetune.data.images import DataError, ImageSource, read_file
from pixels import ImageError

if TYPE_CHECKING:
    from pyarrow import DataType

EXPECTED = "lists of height x width whole numbers from 0 to 255 (grey), or of height x width x 3 (RGB)"
RGB = 3


@dataclass(frozen=True, slots=True)
class TableImage(ImageSource):
    """A cell of a data set whose images are not decoded: bytes, or the path of a file."""

    split: str
    table: Any = field(compare=False, repr=False)
    column: str
    row: int

    @property
    def key(self) -> str:
        return f"{self.split}/{self.row}"

    def content(self) -> bytes:
        cell = self.table[self.row][self.column] or {"bytes": None, "path": None}
        if cell["bytes"] is not None:
            return bytes(cell["bytes"])
        if cell["path"] is None:
            raise ImageError("no image in this row", self.name)
        return read_file(Path(cell["path"]), self.name)


@dataclass(frozen=True, slots=True)
class ListImage(TableImage):
    """A cell with the pixels in nested lists; its stored bytes are those of the array in NumPy's format."""

    def content(self) -> bytes:
        cell = self.table[self.row][self.column]
        if cell is None:
            raise ImageError("no image in this row", self.name)
        try:
            values = np.asarray(cell)
        except ValueError as error:
            raise ImageError(f"lists of different lengths; expected {EXPECTED}", self.name) from error
        buffer = io.BytesIO()
        np.save(buffer, self._check(values))
        return buffer.getvalue()

    def decode(self, content: bytes) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = np.load(io.BytesIO(content), allow_pickle=False)
        return pixels

    def _check(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the pixels, RGB (H, W, 3). Raises: ImageError."""
        shape = "x".join(map(str, values.shape))
        if values.ndim == 2:  # noqa: PLR2004  grey
            values = values[..., None]
        if values.ndim != RGB or values.shape[2] not in (1, RGB) or not values.size:
            raise ImageError(f"found a list of {shape}; expected {EXPECTED}", self.name)
        if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:  # noqa: PLR2004
            raise ImageError(
                f"found values from {values.min()} to {values.max()}; expected {EXPECTED}", self.name
            )
        return np.repeat(values, RGB // values.shape[2], axis=2).astype(np.uint8)


def is_pixel_list(where: str, column: DataType) -> bool:
    """Return whether a column holds images as lists. Raises: DataError for lists of another form."""
    import pyarrow as pa

    depth, inner = 0, column
    while True:
        if isinstance(inner, pa.BaseExtensionType):
            inner = inner.storage_type
        elif pa.types.is_list(inner) or pa.types.is_large_list(inner) or pa.types.is_fixed_size_list(inner):
            depth, inner = depth + 1, inner.value_type
        else:
            break
    if not depth:
        return False
    if depth not in (2, RGB) or not (pa.types.is_integer(inner) or pa.types.is_null(inner)):
        hint = "; reshape each flat list, such as 784 numbers to 28 lists of 28" if depth == 1 else ""
        raise DataError(f"{where}: the images are {column}; expected image files, or {EXPECTED}{hint}")
    return True
