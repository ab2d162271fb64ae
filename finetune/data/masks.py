"""A folder for segmentation: images/ and masks/ of the same names, alone or inside train/, val/, test/."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from finetune.data.errors import DataError
from finetune.data.images import FileImage
from finetune.data.natural import natural_key
from finetune.data.splits import SPLITS, Broken, Split, Splits
from finetune.settings.data import DataSettings
from pixels import ImageError

IGNORED = 255
"""The value of pixels that are neither trained nor measured on."""
SHOWN = 5
NAMES = "classes.json"


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A picture whose values are class numbers: palette or grey, 8 bits, of its image's size."""

    path: Path

    def read(self) -> NDArray[np.uint8]:
        """Out: uint8 (H, W). Raises: ImageError when it is no such picture."""
        try:
            with Image.open(self.path) as picture:
                if picture.mode not in ("P", "L", "1"):
                    raise ImageError(
                        f"a mask holds class numbers (mode P or L); found mode {picture.mode}", str(self.path)
                    )
                return np.asarray(
                    picture if picture.mode != "1" else picture.convert("L").point(bool)
                ).astype(np.uint8)
        except (OSError, UnidentifiedImageError) as error:
            raise ImageError(f"cannot be read as a mask: {error}", str(self.path)) from error


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
    values: set[int] = set()
    broken: list[Broken] = []
    kept = {split: [pair for pair in pairs if _sound(pair, values, broken)] for split, pairs in found.items()}
    total = sum(map(len, found.values()))
    if not kept["train"] or len(broken) > settings.max_broken * total:
        listed = "\n".join(f"  {each.path}: {each.reason}" for each in broken[:SHOWN])
        raise DataError(f"{root}: {len(broken)} of {total} images or masks are broken:\n{listed}")
    classes = _class_names(root, values)
    shares = {"test": settings.test, "val": settings.val}
    cut = _cut(kept, {name: share for name, share in shares.items() if share and name not in kept}, seed)
    train, val, test = (_split(cut.get(name, [])) for name in SPLITS)
    return Splits(classes, train, val, test, broken=tuple(broken))


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
    values |= set(np.unique(mask).tolist()) - {IGNORED}
    return True


def _class_names(root: Path, values: set[int]) -> tuple[str, ...]:
    highest = max(values, default=0)
    if (root / NAMES).is_file():
        names = json.loads((root / NAMES).read_text())
        if not isinstance(names, list) or len(names) <= highest:
            raise DataError(
                f"{root / NAMES}: a list of {highest + 1} names or more is wanted, for values 0 to {highest}"
            )
        return tuple(map(str, names))
    if highest == 0:
        raise DataError(f"{root}: every mask holds the value 0 alone; two classes or more are needed")
    return tuple(str(value) for value in range(highest + 1))


def _cut(kept: dict[str, list[Pair]], shares: Mapping[str, float], seed: int) -> dict[str, list[Pair]]:
    """Take the shares from the training images, one image each at least."""
    train = kept["train"]
    if len(train) <= len(shares):
        raise DataError(f"{len(train)} images are too few for train and {' and '.join(shares)}; add images")
    order = [train[i] for i in np.random.default_rng(seed).permutation(len(train))]
    parts = dict(kept)
    for name, share in shares.items():
        count = max(1, round(share * len(train)))
        parts[name], order = order[:count], order[count:]
    return parts | {"train": order}


def _split(pairs: list[Pair]) -> Split:
    images, masks = tuple(pair.image for pair in pairs), tuple(pair.mask for pair in pairs)
    return Split(images, np.zeros(len(pairs), np.int64), masks)
