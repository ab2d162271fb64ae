"""A folder for segmentation: images/ and masks/ of the same names, alone or inside train/, val/, test/."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from files.paths import expand_home
from finetune.config.data import DataSettings
from finetune.data.images import DataError, FileImage
from finetune.data.look import look_at
from finetune.data.names import read_names
from finetune.data.source import Item, Pool, Source, shorten_list, source
from finetune.data.sources.folder import match_split_folders
from finetune.data.sources.mask_file import MaskFile, encode_value
from finetune.data.sources.walk import LeftOut, check_folder, find_files, list_folder
from finetune.transforms import IGNORED
from pixels import ImageError, read_orientation

IMAGES, MASKS, NAMES = "images", "masks", "classes.json"
MASK_SUFFIX = ".png"
MAX_VALUES_SHOWN = 12


@dataclass(frozen=True)
class MaskedItem(Item):
    """An image and its mask file; a scan notes the mask's `values`, and whether a tag turns the image."""

    values: frozenset[int] = field(default=frozenset(), compare=False)
    turned: bool = field(default=False, compare=False)

    def scan(self) -> Self:
        """Read both. Raises: ImageError, also where their sizes differ."""
        image, pixels, content = self.image.scan()
        mask = self.target.read_values()
        if pixels.shape[:2] != mask.shape:
            sizes = (f"{shape[1]}x{shape[0]}" for shape in (pixels.shape, mask.shape))
            raise ImageError("its size is {}, its mask's {}".format(*sizes), self.image.name)
        values = frozenset(np.unique(mask).tolist())
        turned = read_orientation(content) != 1
        return replace(self, image=image, look=look_at(pixels), values=values, turned=turned)


@source("folder", target="mask")
class MaskFolder(Source):
    """Images with the class of every pixel; classes are named by `classes.json`, a list, else numbered.

    Images may stand in folders inside images/; their masks then stand in the same folders inside masks/.
    """

    def __init__(self, settings: DataSettings) -> None:
        self.root = expand_home(str(settings.folder))
        self.where = str(self.root)
        self.mask_values = settings.mask_values

    def find(self) -> Pool:
        check_folder(self.root)
        left_out = LeftOut(self.root)
        parts = self._find_parts(left_out)
        splits = {split: [*self._pairs(part, left_out)] for split, part in parts.items()}
        return Pool((), splits, left_out.warnings(), named=(self.root / NAMES).is_file())

    def open(self, key: str, target: Any) -> MaskedItem:  # noqa: ANN401
        image, parts = self.root / key, Path(key).parts
        at = [part.lower() for part in parts].index(IMAGES)
        masks = _find_inside(self.root.joinpath(*parts[:at]), MASKS)
        mask = masks.joinpath(*parts[at + 1 :]).with_suffix(MASK_SUFFIX)
        upper = mask.with_suffix(MASK_SUFFIX.upper())
        if not mask.is_file() and upper.is_file():
            mask = upper
        return MaskedItem(FileImage(str(image), image, self.root), MaskFile(mask, self.mask_values))

    def check(self, pool: Pool) -> None:
        """Raises: DataError for a split without images."""
        for split, items in pool.splits.items():
            if not items:
                raise DataError(f"{self.where}: no images to {'train on' if split == 'train' else split}")

    def complete(self, pool: Pool) -> Pool:
        """Name the classes, and warn of values and of images whose masks may not fit."""
        items = [item for split in pool.splits.values() for item in split if isinstance(item, MaskedItem)]
        values = frozenset[int]().union(*(item.values for item in items))
        warnings = [*pool.warnings]
        if turned := [item.image.name for item in items if item.turned]:
            warnings.append(
                f"{self.where}: images turned upright by their EXIF tag: {len(turned)}, such as {turned[0]}; "
                "their masks must be drawn on the upright image"
            )
        if self.mask_values is None:
            names, unused = self._name_indices(values)
        else:
            names, unused = self._name_listed(values)
            warnings += self._warn_unlisted(items)
        if unused:
            warnings.append(f"{self.where}: no mask holds a pixel of the classes {shorten_list(unused)}")
        return replace(pool, classes=names, warnings=tuple(warnings))

    def _find_parts(self, left_out: LeftOut) -> dict[str, Path]:
        loose, folders = list_folder(self.root, left_out)
        pairs = [folder for folder in folders if _find_inside(folder, IMAGES).is_dir()]
        here = _find_inside(self.root, IMAGES).is_dir()
        parts = {"train": self.root} if here else match_split_folders(self.root, pairs)
        if not parts:
            found = shorten_list([f"{folder.name}/" for folder in folders]) or "no folder"
            raise DataError(
                f"{self.root}: no images/ and masks/ here, nor in train/ (there is: {found}); segmentation "
                "needs a mask of the same name for each image; class folders need task: classification"
            )
        used = {_find_inside(self.root, IMAGES), _find_inside(self.root, MASKS), *parts.values()}
        reason = (
            f"folders beside {'images/ and masks/' if here else ', '.join(p.name for p in parts.values())}"
        )
        left_out.add(reason, *(folder for folder in folders if folder not in used))
        left_out.add("images without a mask", *loose.images)
        left_out.add_files([path for path in loose.others if path != self.root / NAMES])
        return parts

    def _pairs(self, part: Path, left_out: LeftOut) -> Iterator[Item]:
        """Yield every image of a split. Raises: DataError for no images, and for images without a mask."""
        images, folder = _find_inside(part, IMAGES), _find_inside(part, MASKS)
        files = find_files(images, left_out)
        if not files.images:
            raise DataError(f"{images}: no images; expected some, or no such folder")
        if not folder.is_dir():
            raise DataError(
                f"{folder}: no such folder; expected a mask NAME.png in it for each image of {images}"
            )
        left_out.add_files(files.others)
        items = [self.open(path.relative_to(self.root).as_posix(), None) for path in files.images]
        unmatched = [
            path.relative_to(images).as_posix()
            for path, item in zip(files.images, items, strict=True)
            if not item.target.path.is_file()
        ]
        masks = find_files(folder, left_out)
        if unmatched:
            others = {path.suffix for path in masks.images} - {MASK_SUFFIX, MASK_SUFFIX.upper()}
            hint = (
                f"; masks must be PNG files, and there are {shorten_list(sorted(others))} files"
                if others
                else ""
            )
            raise DataError(
                f"{folder}: no mask NAME.png for {shorten_list(unmatched)} "
                f"({len(unmatched)} of {len(items)} images){hint}"
            )
        used = {item.target.path for item in items}
        left_out.add("masks without an image", *(path for path in masks.images if path not in used))
        left_out.add_files(masks.others)
        yield from items

    def _name_indices(self, values: frozenset[int]) -> tuple[tuple[str, ...], list[str]]:
        """Return the classes of masks that hold class indices, and those without a pixel.

        Raises: DataError.
        """
        present = sorted(values - {IGNORED})
        highest = max(present, default=0)
        found = f"{self.root}: the masks hold the values {_show_values(values)}"
        listed = "data.mask_values with the value of each class in turn"
        if (self.root / NAMES).is_file():
            names = read_names(self.root / NAMES, "names of the masks' values 0, 1, 2 …")
            if len(names) <= highest:
                raise DataError(
                    f"{self.root / NAMES}: found {len(names)} names for the values {_show_values(values)}; "
                    f"expected {highest + 1} names or more, or {listed}"
                )
            return names, []
        if not present:
            raise DataError(f"{found} alone, which marks pixels to leave out; expected two classes or more")
        if highest == 0 and IGNORED in values:
            raise DataError(
                f"{self.root}: the masks hold the values 0 and {IGNORED} alone, and {IGNORED} marks pixels "
                "to leave out; expected: the second class as 1, masks of one bit, or "
                f"data.mask_values: [0, {IGNORED}]"
            )
        if highest == 0:
            raise DataError(f"{self.root}: every mask holds the value 0 alone; expected two classes or more")
        if 2 * len(present) <= highest:
            raise DataError(
                f"{found}; as class indices they would make {highest + 1} classes, of which "
                f"{highest + 1 - len(present)} have no pixel. Expected: the values 0, 1, 2 …, or {listed}, "
                f"here data.mask_values: [{', '.join(map(str, present[:MAX_VALUES_SHOWN]))}"
                f"{', …' if len(present) > MAX_VALUES_SHOWN else ''}]"
            )
        names = tuple(str(value) for value in range(highest + 1))
        return names, [name for name in names if int(name) not in values]

    def _name_listed(self, values: frozenset[int]) -> tuple[tuple[str, ...], list[str]]:
        """Return the classes of `data.mask_values`, and those without a pixel. Raises: DataError."""
        listed = self.mask_values or ()
        names = tuple(str(v) if isinstance(v, int) else "#{:02x}{:02x}{:02x}".format(*v) for v in listed)
        if (self.root / NAMES).is_file():
            names = read_names(self.root / NAMES, "names of data.mask_values, in their order")
            if len(names) != len(listed):
                raise DataError(
                    f"{self.root / NAMES}: found {len(names)} names for the {len(listed)} values in "
                    "data.mask_values; expected one for each"
                )
        unused = [name for name, v in zip(names, listed, strict=True) if encode_value(v) not in values]
        if len(unused) == len(names):
            raise DataError(f"{self.root}: no mask holds a value of data.mask_values")
        return names, unused

    def _warn_unlisted(self, items: list[MaskedItem]) -> list[str]:
        listed = {encode_value(value) for value in self.mask_values or ()}
        colours = not isinstance((self.mask_values or (0,))[0], int)
        void = set[int]() if colours else {IGNORED}
        odd = [item for item in items if item.values - listed - void]
        if not odd:
            return []
        values = _show_values(frozenset[int]().union(*(item.values for item in odd)) - listed - void, colours)
        return [
            f"{self.where}: masks with values that data.mask_values does not list, and that do not count: "
            f"{len(odd)}, such as {odd[0].target.path} (the values are {values})"
        ]


def _find_inside(folder: Path, name: str) -> Path:
    """Return the folder of that name, in upper or lower case; where there is none, its path in lower case."""
    path = folder / name
    if path.is_dir() or not folder.is_dir():
        return path
    return next(
        (each for each in sorted(folder.iterdir()) if each.name.lower() == name and each.is_dir()), path
    )


def _show_values(values: frozenset[int], colours: bool = False) -> str:
    shown = [f"#{value:06x}" if colours else str(value) for value in sorted(values)[:MAX_VALUES_SHOWN]]
    return ", ".join(shown) + (", …" if len(values) > MAX_VALUES_SHOWN else "")
