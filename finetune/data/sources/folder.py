"""A folder of image files: one folder per class, or such folders inside train/, val/ and test/."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from finetune.config.data import DataSettings
from finetune.data.images import DataError, FileImage
from finetune.data.names import natural_key
from finetune.data.source import MAX_SHOWN, ClassSource, Pool, class_item, match_splits, shorten_list, source

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
IGNORED_FOLDERS = frozenset(["__MACOSX", "__pycache__"])
SURROGATES = frozenset(map(chr, range(0xD800, 0xE000)))
"""What Python makes of bytes in file names that are not UTF-8."""


@source("folder")
class ClassFolders(ClassSource):
    """The images below a folder; the name of an image's folder is its class."""

    def __init__(self, settings: DataSettings) -> None:
        self.root = Path(str(settings.folder)).expanduser()
        self.where = str(self.root)

    def find(self) -> Pool:
        check_folder(self.root)
        parts = _find_parts(self.root)
        classes = _class_names(self.root, parts)
        index = {name: i for i, name in enumerate(classes)}
        splits = {
            split: [
                class_item(FileImage(str(path), path, self.root), index[folder.name])
                for folder in list_folders(part)
                if folder.name in index
                for path in _images_below(folder)
            ]
            for split, part in parts.items()
        }
        return Pool(classes, splits, tuple(_warn_left_out(self.root, parts)))

    def open_image(self, key: str) -> FileImage:
        path = self.root / key
        return FileImage(str(path), path, self.root)


def check_folder(root: Path) -> None:
    """Raises: DataError unless the path is a folder."""
    if not root.is_dir():
        found = "is a file" if root.exists() else "no such folder"
        raise DataError(f"{root}: {found}; expected a folder of images in data.folder (DATA=)")


def match_split_folders(root: Path, folders: list[Path]) -> dict[str, Path]:
    """Return the folder of each split, by the folders' names; empty where none is named as a split.

    Raises: DataError for two folders of one split, or none for training.
    """
    by_name = {folder.name: folder for folder in folders}
    matches = match_splits(by_name)
    for split, names in matches.items():
        if len(names) > 1:
            raise DataError(f"{root}: {names[0]}/ and {names[1]}/ are both {split}; keep one of them")
    if matches and "train" not in matches:
        raise DataError(f"{root}: found {_list([*by_name.values()])}, but no train/ beside it")
    return {split: by_name[name] for split, (name,) in matches.items()}


def list_folders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, in natural order. Raises: DataError."""
    try:
        found = [each for each in folder.iterdir() if each.is_dir() and _is_visible(each.name)]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error
    return sorted(found, key=lambda each: natural_key(each.name))


def _find_parts(root: Path) -> dict[str, Path]:
    """Return the folder of each split; the root holds the training images if it has no split folders."""
    folders = list_folders(root)
    split_names = {name for names in match_splits(each.name for each in folders).values() for name in names}
    splits = [folder for folder in folders if folder.name in split_names]
    others = [folder for folder in folders if folder.name not in split_names]
    if splits and others:
        raise DataError(
            f"{root}: {_list(splits)} reads as a split, but stands beside {_list(others)}, which reads as a "
            "class. Put every class folder inside train/ (and val/, test/), or rename the class"
        )
    return match_split_folders(root, splits) or {"train": root}


def _class_names(root: Path, parts: dict[str, Path]) -> tuple[str, ...]:
    """Return the names of all class folders that hold an image in some split."""
    folders = [folder for part in parts.values() for folder in list_folders(part)]
    names = {folder.name for folder in folders if next(_images_below(folder), None) is not None}
    if not names:
        raise DataError(_describe_nothing(root, parts))
    garbled = [name for name in names if SURROGATES.intersection(name)]
    if garbled:
        raise DataError(
            f"{root}: the name of the class folder {garbled[0]!a} is not UTF-8, as files unpacked from "
            "zips of other systems often are; rename it"
        )
    if len(names) == 1:
        (name,) = names
        hint = _suggest_inner(parts["train"] / name)
        raise DataError(f"{root}: one class only, {name}/; expected two or more{hint}")
    return tuple(sorted(names, key=natural_key))


def _describe_nothing(root: Path, parts: dict[str, Path]) -> str:
    loose = sum(len(_loose_images(part)) for part in parts.values())
    if loose:
        where = root if len(parts) == 1 else f"{root}'s split folders"
        return f"{where}: {loose} images, but no class folders: put each class in a folder of its name"
    found = Counter(path.suffix.lower() or "no suffix" for path in _files_below(root))
    kinds = (
        ", ".join(f"{count} {suffix}" for suffix, count in found.most_common(MAX_SHOWN)) or "no files at all"
    )
    return f"{root}: no images found (there are: {kinds}); JPEG, PNG, WebP, BMP, GIF and TIFF files are read"


def _suggest_inner(folder: Path) -> str:
    """Suggest the folder itself where the class folders are inside it."""
    inner = (
        [each for each in list_folders(folder) if next(_images_below(each), None)] if folder.is_dir() else []
    )
    return f". Did you mean {folder}, which holds {_list(inner)}?" if len(inner) > 1 else ""


def _warn_left_out(root: Path, parts: dict[str, Path]) -> Iterator[str]:
    """Yield a warning for images without a class, and one for pictures of kinds that are not decoded."""
    loose = [path for part in parts.values() for path in _loose_images(part)]
    if loose:
        names = shorten_list(path.name for path in loose)
        yield f"{root}: images beside the class folders have no class and were left out: {names}"
    suffixes = Counter(path.suffix.lower() for path in _files_below(root))
    kinds = [f"{suffixes[suffix]} {suffix}" for suffix in sorted(NOT_DECODED.intersection(suffixes))]
    if kinds:
        yield f"{root}: files of kinds that are not decoded were left out: {', '.join(kinds)}"


def _loose_images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and _is_visible(p.name) and _is_image(p))


def _images_below(folder: Path) -> Iterator[Path]:
    return (path for path in _files_below(folder) if _is_image(path))


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield every visible file in natural order, whatever the order on the disk. Raises: DataError."""

    def refuse(error: OSError) -> NoReturn:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error

    for where, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(filter(_is_visible, folders), key=natural_key)
        yield from (Path(where, name) for name in sorted(filter(_is_visible, files), key=natural_key))


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name not in IGNORED_FOLDERS


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _list(folders: list[Path]) -> str:
    return shorten_list(f"{folder.name}/" for folder in folders)
