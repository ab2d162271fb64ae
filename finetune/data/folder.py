"""A folder of image files: one folder a class, or such folders inside train/, val/ and test/."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

from finetune.data.errors import DataError
from finetune.data.images import FileImage, ImageSource
from finetune.data.natural import natural_key
from finetune.data.pool import Labelled, Pool, Source

SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"]
)
NOT_DECODED = frozenset(
    [
        ".heic",
        ".heif",
        ".avif",
        ".jxl",
        ".jp2",
        ".svg",
        ".psd",
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".raw",
    ]
)
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
IGNORED = frozenset(["__MACOSX", "__pycache__"])
SURROGATES = frozenset(map(chr, range(0xD800, 0xE000)))
"""What Python makes of bytes in file names that are not UTF-8."""
SHOWN = 5


def folder_source(path: str) -> Source:
    """The images below `path`, `~` expanded."""
    root = Path(path).expanduser()
    return Source(str(root), partial(_find, root), partial(_open, root))


def _find(root: Path) -> Pool:
    if not root.exists():
        raise DataError(f"{root}: no such folder; data.folder (DATA=) names a folder of images")
    if not root.is_dir():
        raise DataError(f"{root} is a file; data.folder (DATA=) names a folder of images")
    parts = _split_folders(root)
    classes = _class_names(root, parts)
    index = {name: i for i, name in enumerate(classes)}
    given = {
        split: [
            Labelled(FileImage(str(path), path, root), index[folder.name])
            for folder in _folders(part)
            if folder.name in index
            for path in _images_below(folder)
        ]
        for split, part in parts.items()
    }
    return Pool(str(root), classes, given, tuple(_left_out(root, parts)))


def _open(root: Path, key: str) -> ImageSource:
    path = root / key
    return FileImage(str(path), path, root)


def _split_folders(root: Path) -> dict[str, Path]:
    """Which folder holds which split; the root itself holds train where there are no split folders."""
    folders = _folders(root)
    splits = [folder for folder in folders if folder.name.lower() in SPLIT_NAMES]
    others = [folder for folder in folders if folder not in splits]
    if not splits:
        return {"train": root}
    if others:
        raise DataError(
            f"{root}: {_list(splits)} reads as a split, but stands beside {_list(others)}, which reads as a "
            "class. Put every class folder inside train/ (and val/, test/), or rename the class"
        )
    parts: dict[str, Path] = {}
    for folder in splits:
        split = SPLIT_NAMES[folder.name.lower()]
        if split in parts:
            raise DataError(
                f"{root}: {parts[split].name}/ and {folder.name}/ are both {split}; keep one of them"
            )
        parts[split] = folder
    if "train" not in parts:
        raise DataError(f"{root}: found {_list(splits)}, but no train/ beside it")
    return parts


def _class_names(root: Path, parts: dict[str, Path]) -> tuple[str, ...]:
    """Every class folder that holds an image in some split."""
    names = {
        folder.name
        for part in parts.values()
        for folder in _folders(part)
        if next(_images_below(folder), None) is not None
    }
    if not names:
        raise DataError(_describe_nothing(root, parts))
    garbled = [name for name in names if any(letter in SURROGATES for letter in name)]
    if garbled:
        raise DataError(
            f"{root}: the name of the class folder {garbled[0]!a} is not UTF-8, as files unpacked from "
            "zips of other systems often are; rename it"
        )
    if len(names) == 1:
        (name,) = names
        raise DataError(
            f"{root}: one class only, {name}/; two or more are needed{_deeper(parts['train'] / name)}"
        )
    return tuple(sorted(names, key=natural_key))


def _describe_nothing(root: Path, parts: dict[str, Path]) -> str:
    loose = sum(len(_loose_images(part)) for part in parts.values())
    if loose:
        where = root if len(parts) == 1 else f"{root}'s split folders"
        return (
            f"{where}: images, but no class folders ({loose} found): put each class in a folder of its name"
        )
    found = Counter(path.suffix.lower() or "no suffix" for path in _files_below(root))
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in found.most_common(SHOWN)) or "no files at all"
    return f"{root}: no images found (there are: {kinds}); JPEG, PNG, WebP, BMP, GIF and TIFF files are read"


def _deeper(folder: Path) -> str:
    """The way out where the class folders lie one folder down."""
    inner = [each for each in _folders(folder) if next(_images_below(each), None)] if folder.is_dir() else []
    return f". Did you mean {folder}, which holds {_list(inner)}?" if len(inner) > 1 else ""


def _left_out(root: Path, parts: dict[str, Path]) -> Iterator[str]:
    """A sentence each on images that have no class and on pictures of kinds that are not decoded."""
    loose = [path for part in parts.values() for path in _loose_images(part)]
    if loose:
        names = ", ".join(path.name for path in loose[:SHOWN]) + (", …" if len(loose) > SHOWN else "")
        yield f"{root}: images beside the class folders have no class and were left out: {names}"
    odd = Counter(path.suffix.lower() for path in _files_below(root) if path.suffix.lower() in NOT_DECODED)
    if odd:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(odd.items()))
        yield f"{root}: files of kinds that are not decoded were left out: {kinds}"


def _folders(folder: Path) -> list[Path]:
    try:
        found = [each for each in folder.iterdir() if each.is_dir() and _visible(each.name)]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error
    return sorted(found, key=lambda each: natural_key(each.name))


def _loose_images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and _visible(p.name) and _is_image(p))


def _images_below(folder: Path) -> Iterator[Path]:
    return (path for path in _files_below(folder) if _is_image(path))


def _files_below(folder: Path) -> Iterator[Path]:
    """Every visible file, in natural order, whatever order the disk gives. Raises: DataError."""

    def refuse(error: OSError) -> NoReturn:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error

    for where, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(filter(_visible, folders), key=natural_key)
        yield from (Path(where, name) for name in sorted(filter(_visible, files), key=natural_key))


def _visible(name: str) -> bool:
    return not name.startswith(".") and name not in IGNORED


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _list(folders: list[Path]) -> str:
    names = [f"{folder.name}/" for folder in folders[:SHOWN]]
    return ", ".join(names) + (", …" if len(folders) > SHOWN else "")
