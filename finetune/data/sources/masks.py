"""A folder for segmentation: images/ and masks/ of the same names, alone or inside train/, val/, test/."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finetune.config.data import DataSettings
from finetune.data.images import DataError, FileImage
from finetune.data.names import natural_key, read_names
from finetune.data.source import Item, Pool, Source, shorten_list, source
from finetune.data.sources.folder import check_folder, list_folders, match_split_folders
from pixels import ImageError, read_orientation

IGNORED = 255
"""The value of pixels that are neither trained nor measured on, as the task of segmentation has it."""
NAMES = "classes.json"
MODES = ("P", "L", "1")


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A picture whose values are class indices: palette or grey, 8 bits, of the size of its image."""

    path: Path

    def read(self) -> NDArray[np.uint8]:
        """Return the class indices, (H, W). Raises: ImageError for another kind of file."""
        try:
            with Image.open(self.path) as picture:
                mode = picture.mode
                values = np.asarray(picture if mode != "1" else picture.convert("L").point(bool))
        except Exception as error:  # on a damaged file, Pillow raises whatever its parsing trips over
            raise ImageError(f"cannot be read as a mask: {error}", str(self.path)) from error
        if mode not in MODES:
            raise ImageError(f"found mode {mode}; expected class indices (mode P or L)", str(self.path))
        return values.astype(np.uint8)


@dataclass(frozen=True)
class MaskedItem(Item):
    """An image and its mask file; a scan notes the mask's `values`, and whether a tag turns the image."""

    values: frozenset[int] = field(default=frozenset(), compare=False)
    turned: bool = field(default=False, compare=False)

    def scan(self) -> Self:
        """Read both. Raises: ImageError, also where their sizes differ."""
        image, pixels, content = self.image.scan()
        mask: NDArray[np.uint8] = self.target.read()
        if pixels.shape[:2] != mask.shape:
            sizes = (f"{shape[1]}x{shape[0]}" for shape in (pixels.shape, mask.shape))
            raise ImageError("its size is {}, its mask's {}".format(*sizes), self.image.name)
        values = frozenset(np.unique(mask).tolist())
        return replace(self, image=image, values=values, turned=read_orientation(content) != 1)


@source("folder", target="mask")
class MaskFolder(Source):
    """Images with the class of every pixel; classes are named by `classes.json`, a list, else numbered."""

    def __init__(self, settings: DataSettings) -> None:
        self.root = Path(str(settings.folder)).expanduser()
        self.where = str(self.root)

    def find(self) -> Pool:
        check_folder(self.root)
        parts = self._find_parts()
        return Pool((), {split: [*self._pairs(part)] for split, part in parts.items()})

    def open(self, key: str, target: Any) -> MaskedItem:  # noqa: ANN401
        image = self.root / key
        mask = image.parent.parent / "masks" / f"{image.stem}.png"
        return MaskedItem(FileImage(str(image), image, self.root), MaskFile(mask))

    def check(self, pool: Pool) -> None:
        """Raises: DataError for a split without images."""
        for split, items in pool.splits.items():
            if not items:
                raise DataError(f"{self.where}: no images to {'train on' if split == 'train' else split}")

    def complete(self, pool: Pool) -> Pool:
        """Name the classes, and warn of images whose masks may not fit."""
        items = [item for split in pool.splits.values() for item in split if isinstance(item, MaskedItem)]
        values = frozenset[int]().union(*(item.values for item in items))
        turned = [item.image.name for item in items if item.turned]
        warning = (
            f"{self.where}: images turned upright by their EXIF tag: {len(turned)}, such as "
            f"{next(iter(turned), '')}; their masks must be drawn on the upright image"
        )
        return replace(pool, classes=_class_names(self.root, values), warnings=(warning,) if turned else ())

    def _find_parts(self) -> dict[str, Path]:
        if (self.root / "images").is_dir():
            return {"train": self.root}
        folders = [folder for folder in list_folders(self.root) if (folder / "images").is_dir()]
        if parts := match_split_folders(self.root, folders):
            return parts
        raise DataError(
            f"{self.root}: no images/ and masks/ here, nor in train/; segmentation needs a mask of the same "
            "name for each image"
        )

    def _pairs(self, part: Path) -> Iterator[MaskedItem]:
        files = [path for path in (part / "images").iterdir() if path.is_file() and path.name[0] != "."]
        if not files:
            raise DataError(f"{part / 'images'}: no images; expected some, or no such folder")
        items = [
            self.open(path.relative_to(self.root).as_posix(), None)
            for path in sorted(files, key=lambda path: natural_key(path.name))
        ]
        unmatched = [Path(item.image.name).name for item in items if not item.target.path.exists()]
        if unmatched:
            raise DataError(f"{part / 'masks'}: no mask NAME.png for {shorten_list(unmatched)}")
        yield from items


def _class_names(root: Path, values: frozenset[int]) -> tuple[str, ...]:
    highest = max(values - {IGNORED}, default=0)
    if (root / NAMES).is_file():
        names = read_names(root / NAMES, "names of the masks' values 0, 1, 2 …")
        if len(names) <= highest:
            raise DataError(
                f"{root / NAMES}: found {len(names)} names for the values 0 to {highest}; expected "
                f"{highest + 1} or more"
            )
        return names
    if highest == 0 and IGNORED in values:
        raise DataError(
            f"{root}: the masks hold the values 0 and {IGNORED} alone, and {IGNORED} marks pixels to leave "
            "out; expected: the second class as 1, or masks of one bit"
        )
    if highest == 0:
        raise DataError(f"{root}: every mask holds the value 0 alone; expected two classes or more")
    return tuple(str(value) for value in range(highest + 1))
