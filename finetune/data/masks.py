"""A folder for segmentation: images/ and masks/ of the same names, alone or inside train/, val/, test/."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finetune.config.data import DataSettings
from finetune.data.checks import find_copies
from finetune.data.cut import draw_groups, group_copies
from finetune.data.errors import DataError
from finetune.data.images import FileImage
from finetune.data.names import read_names
from finetune.data.natural import natural_key
from finetune.data.pool import Labelled
from finetune.data.splits import SPLITS, Broken, Split, Splits
from pixels import ImageError, read_orientation

IGNORED = 255
"""The value of pixels that are neither trained nor measured on."""
SHOWN = 5
NAMES = "classes.json"
MODES = ("P", "L", "1")


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A picture whose values are class numbers: palette or grey, 8 bits, of its image's size."""

    path: Path

    def read(self) -> NDArray[np.uint8]:
        """Out: uint8 (H, W). Raises: ImageError when it is no such picture."""
        try:
            with Image.open(self.path) as picture:
                mode = picture.mode
                values = np.asarray(picture if mode != "1" else picture.convert("L").point(bool))
        except Exception as error:  # on a damaged file, Pillow raises whatever its parsing trips over
            raise ImageError(f"cannot be read as a mask: {error}", str(self.path)) from error
        if mode not in MODES:
            raise ImageError(f"a mask holds class numbers (mode P or L); found mode {mode}", str(self.path))
        return values.astype(np.uint8)


@dataclass(frozen=True)
class Pair:
    """An image and its mask."""

    image: FileImage
    mask: MaskFile


def load_masked_splits(settings: DataSettings, seed: int) -> Splits:
    """The splits of a segmentation folder; those that it does not bring along are cut by seed.

    Classes are named by `classes.json` (a list of names) beside `images/`, else numbered.
    Raises: DataError for a source that is no such folder, a missing mask, or too many broken pictures.
    """
    if settings.folder is None:
        raise DataError("segmentation reads a folder of images/ and masks/; set data.folder (DATA=)")
    root = Path(settings.folder).expanduser()
    parts = _parts(root)
    found = {split: _pairs(part, root) for split, part in parts.items()}
    for split, pairs in found.items():
        if not pairs:
            raise DataError(f"{parts[split] / 'images'}: no images; expected some, or no such folder")
    values: set[int] = set()
    broken: list[Broken] = []
    kept = {split: [pair for pair in pairs if _sound(pair, values, broken)] for split, pairs in found.items()}
    total = sum(map(len, found.values()))
    if not all(kept.values()) or len(broken) > settings.max_broken * total:
        listed = "\n".join(f"  {each.path}: {each.reason}" for each in broken[:SHOWN])
        raise DataError(f"{root}: {len(broken)} of {total} images or masks are broken:\n{listed}")
    classes = _class_names(root, values)
    shares = {"test": settings.test, "val": settings.val}
    kept = {split: [_digested(pair) for pair in pairs] for split, pairs in kept.items()}
    wanted = {name: share for name, share in shares.items() if share and name not in kept}
    cut = _cut(root, kept, wanted, seed)
    train, val, test = (_split(cut.get(name, [])) for name in SPLITS)
    labelled = {name: [Labelled(pair.image, 0) for pair in pairs] for name, pairs in cut.items()}
    told = (*_turned(root, cut), *find_copies(str(root), labelled, classes))
    return Splits(classes, train, val, test, broken=tuple(broken), warnings=told)


def read_masked_splits(record: Mapping[str, Any], settings: DataSettings) -> Splits:
    """The splits that `Splits.to_record` wrote down, without looking at any image."""
    root = Path(settings.folder or "").expanduser()
    train, val, test = (
        _split([_pair(root / key, root) for key in record[name]["images"]]) for name in SPLITS
    )
    broken = tuple(Broken(each["path"], each["reason"]) for each in record["broken"])
    return Splits(tuple(record["classes"]), train, val, test, broken, tuple(record["warnings"]))


def _parts(root: Path) -> dict[str, Path]:
    if (root / "images").is_dir():
        return {"train": root}
    parts = {name: root / name for name in SPLITS if (root / name / "images").is_dir()}
    if "train" not in parts:
        raise DataError(
            f"{root}: no images/ and masks/ here, nor in train/; segmentation needs a mask of the same name "
            "for each image"
        )
    return parts


def _pairs(part: Path, root: Path) -> list[Pair]:
    files = sorted((part / "images").iterdir(), key=lambda path: natural_key(path.name))
    pairs = [_pair(path, root) for path in files if path.is_file() and not path.name.startswith(".")]
    lonely = [pair.image.path.name for pair in pairs if not pair.mask.path.exists()]
    if lonely:
        more = ", …" if len(lonely) > SHOWN else ""
        raise DataError(f"{part / 'masks'}: no mask NAME.png for {', '.join(lonely[:SHOWN])}{more}")
    return pairs


def _pair(image: Path, root: Path) -> Pair:
    mask = image.parent.parent / "masks" / f"{image.stem}.png"
    return Pair(FileImage(str(image), image, root), MaskFile(mask))


def _sound(pair: Pair, values: set[int], broken: list[Broken]) -> bool:
    """Whether both can be read and are of one size; collects the classes seen, or what is broken."""
    try:
        image, mask = pair.image.read(), pair.mask.read()
    except ImageError as error:
        broken.append(Broken(error.name or pair.image.name, error.reason))
        return False
    if image.shape[:2] != mask.shape:
        reason = f"its size is {image.shape[1]}x{image.shape[0]}, its mask's {mask.shape[1]}x{mask.shape[0]}"
        broken.append(Broken(pair.image.name, reason))
        return False
    values |= set(np.unique(mask).tolist())
    return True


def _digested(pair: Pair) -> Pair:
    """The pair whose image knows its digest, so that it is not read again for it."""
    return replace(pair, image=replace(pair.image, sha256=pair.image.digest()))


def _class_names(root: Path, values: set[int]) -> tuple[str, ...]:
    highest = max(values - {IGNORED}, default=0)
    if (root / NAMES).is_file():
        names = read_names(root / NAMES, "names of the masks' values 0, 1, 2 …")
        if len(names) <= highest:
            raise DataError(
                f"{root / NAMES}: a list of {highest + 1} names or more is wanted, for values 0 to {highest}"
            )
        return names
    if highest == 0 and IGNORED in values:
        raise DataError(
            f"{root}: the masks hold the values 0 and {IGNORED} alone, and {IGNORED} marks pixels to leave "
            "out; expected: the second class as 1, or masks of one bit"
        )
    if highest == 0:
        raise DataError(f"{root}: every mask holds the value 0 alone; two classes or more are needed")
    return tuple(str(value) for value in range(highest + 1))


def _turned(root: Path, parts: Mapping[str, list[Pair]]) -> Iterator[str]:
    """A sentence on images that a tag turns: whether their masks were drawn on them upright is not known."""
    images = [pair.image for pairs in parts.values() for pair in pairs]
    turned = [image.name for image in images if read_orientation(image.content()) != 1]
    if turned:
        yield (
            f"{root}: images turned upright by their EXIF tag: {len(turned)}, such as {turned[0]}; their "
            "masks are taken as they are, drawn on the upright image"
        )


def _cut(
    root: Path, kept: dict[str, list[Pair]], shares: Mapping[str, float], seed: int
) -> dict[str, list[Pair]]:
    """Take the shares from the training images, copies together, one image each at least."""
    train = kept["train"]
    groups = group_copies([pair.image for pair in train])
    if len(groups) <= len(shares):
        splits = " and ".join(["train", *shares])
        raise DataError(f"{root}: {len(groups)} different images are too few for {splits}; add images")
    taken = draw_groups(groups, shares, np.random.default_rng(seed))
    parts = {name: [pair for i, pair in enumerate(train) if taken.get(i) == name] for name in shares}
    return {**kept, **parts, "train": [pair for i, pair in enumerate(train) if i not in taken]}


def _split(pairs: list[Pair]) -> Split:
    images, masks = tuple(pair.image for pair in pairs), tuple(pair.mask for pair in pairs)
    return Split(images, np.zeros(len(pairs), np.int64), masks)
