"""A picture that holds the class of every pixel of an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finetune.transforms import IGNORED
from pixels import ImageError

WHITE = 255
RED, GREEN = 1 << 16, 1 << 8  # a colour as one number: 0xRRGGBB
MaskValues = tuple[int | tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A picture whose values are class indices, or those that `values` lists; of the size of its image.

    `values` are the value or the colour (red, green, blue) of each class; without them the values are the
    class indices themselves, and 255 does not count.
    """

    path: Path
    values: MaskValues | None = None

    def read(self) -> NDArray[np.uint8]:
        """Return the class indices, (H, W), IGNORED where a value is not listed.

        Raises: ImageError for another kind of file.
        """
        stored = self.read_values()
        if self.values is None:
            if (top := int(stored.max())) > IGNORED:
                raise ImageError(f"holds values up to {top}; expected 0 to {IGNORED}", str(self.path))
            return stored.astype(np.uint8)
        listed = np.array([encode_value(value) for value in self.values])
        order = np.argsort(listed)
        places = np.searchsorted(listed, stored, sorter=order).clip(max=len(listed) - 1)
        found = order[places]
        return np.where(listed[found] == stored, found, IGNORED).astype(np.uint8)

    def read_values(self) -> NDArray[np.integer]:
        """Return the values as they are stored, (H, W); colours as numbers 0xRRGGBB. Raises: ImageError."""
        try:
            with Image.open(self.path) as picture:
                picture.load()
                return self._read(picture)
        except ImageError:
            raise
        except Exception as error:  # on a damaged file, Pillow raises whatever its parsing trips over
            raise ImageError(f"cannot be read as a mask: {error}", str(self.path)) from error

    def _read(self, picture: Image.Image) -> NDArray[np.integer]:
        if self.values is not None and not isinstance(self.values[0], int):
            colours = np.asarray(picture.convert("RGB")).astype(np.int64)
            numbers: NDArray[np.int64] = colours @ np.array([RED, GREEN, 1])
            return numbers
        mode = picture.mode
        if mode == "1":  # 0 and 1, or 0 and 255 where that is listed
            white = WHITE if self.values is not None and WHITE in self.values else 1
            return np.asarray(picture).astype(np.uint8) * white
        if mode in ("P", "L") or mode.startswith("I"):
            return np.asarray(picture)
        if mode in ("RGB", "RGBA", "LA"):
            channels = np.asarray(picture)[..., : 1 if mode == "LA" else 3]
            if (channels == channels[..., :1]).all():
                return channels[..., 0]
            raise ImageError(
                f"found colours (mode {mode}); expected class indices (mode P or L), or "
                "data.mask_values with the colour of each class",
                str(self.path),
            )
        raise ImageError(f"found mode {mode}; expected class indices (mode P or L)", str(self.path))


def encode_value(value: int | tuple[int, int, int]) -> int:
    """Return the value as a mask stores it; a colour as 0xRRGGBB."""
    return value if isinstance(value, int) else value[0] * RED + value[1] * GREEN + value[2]
