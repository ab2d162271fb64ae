"""Walking through folders: every image below, and an account of what is left out."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from finetune.data.images import DataError
from finetune.data.names import natural_key
from pixels import SUFFIXES

NOTES = "txt md rst csv tsv json jsonl xml yaml yml toml html htm pdf log ini py sh"
SYSTEM = (
    "__macosx __pycache__ $recycle.bin recycler recycled lost+found found.000 @eadir @tmp @recycle "
    "@recently-snapshot @snapshot @sharebin @sharesnap #recycle #snapshot ~snapshot"
)
READ_FORMATS = "JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC and AVIF files are read"
NOTE_SUFFIXES = frozenset(f".{kind}" for kind in NOTES.split())
"""Files that are notes about images, and never images themselves."""
SYSTEM_FOLDERS = frozenset(
    [*SYSTEM.split(), "system volume information", "network trash folder", "temporary items"]
)
"""Folders that operating systems and network storage make, in small letters."""


@dataclass
class LeftOut:
    """What a source leaves out of a folder: for each reason the number, and the first one as an example."""

    root: Path
    found: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))

    def add(self, reason: str, *paths: Path) -> None:
        """Count the paths under that reason, a plural such as `hidden files`."""
        if paths:
            self.found[reason] += paths

    def add_files(self, files: list[Path]) -> None:
        """Count files that are not read, by their suffixes."""
        for path in files:
            suffix = path.suffix.lower()
            self.add(f"{suffix} files" if suffix else "files without a suffix", path)

    def warnings(self) -> tuple[str, ...]:
        """Return one sentence about all of them; nothing where nothing was left out."""
        parts = [
            f"{len(paths)} {reason if len(paths) > 1 else _singular(reason)}, such as "
            f"{paths[0].relative_to(self.root)}"
            for reason, paths in self.found.items()
        ]
        return (f"{self.root}: left out: {'; '.join(parts)}",) if parts else ()


@dataclass(frozen=True)
class Files:
    """The files below a folder in natural order: images by their suffix, and others."""

    images: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)


def check_folder(root: Path) -> None:
    """Raises: DataError unless the path is a folder."""
    if not root.is_dir():
        found = "is a file" if root.exists() else "no such folder"
        raise DataError(f"{root}: {found}; expected a folder of images in data.folder (DATA=)")


def list_folder(folder: Path, left_out: LeftOut) -> tuple[Files, list[Path]]:
    """Return the files and the folders in a folder, each in natural order.

    Links are followed, except to a folder that the link is in. Hidden and system folders are left out.
    Raises: DataError.
    """
    files, folders = Files(), []
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: natural_key(entry.name))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error
    for entry in found:
        path = folder / entry.name
        if path.is_dir():
            if entry.name.lower() in SYSTEM_FOLDERS:
                left_out.add("system folders", path)
            elif entry.name.startswith("."):
                left_out.add("hidden folders", path)
            elif entry.is_symlink() and folder.resolve().is_relative_to(path.resolve()):
                left_out.add("links to a folder that they are in", path)
            else:
                folders.append(path)
        elif entry.name.startswith("."):
            left_out.add("hidden files", path)
        elif path.exists() and not path.is_file():
            left_out.add("pipes, sockets or devices", path)
        else:
            (files.images if path.suffix.lower() in SUFFIXES else files.others).append(path)
    return files, folders


def find_files(folder: Path, left_out: LeftOut) -> Files:
    """Return all files below a folder: those of each folder before those of its folders. Raises: DataError.

    A folder that links lead to twice is read once.
    """
    found, empty = _walk(folder, left_out, {folder.resolve()})
    left_out.add("empty folders", *empty)
    return found


def _walk(folder: Path, left_out: LeftOut, seen: set[Path]) -> tuple[Files, list[Path]]:
    """Return the files below a folder, and the topmost folders without any."""
    files, folders = list_folder(folder, left_out)
    empty: list[Path] = []
    for inner in folders:
        real = inner.resolve()
        if real in seen:
            left_out.add("links to a folder that is read already", inner)
            continue
        seen.add(real)
        below, without = _walk(inner, left_out, seen)
        files.images.extend(below.images)
        files.others.extend(below.others)
        empty += without
    return files, empty if files.images or files.others else [folder]


def _singular(reason: str) -> str:
    """Return the reason for one path: `hidden file` for `hidden files`."""
    return re.sub(r"(file|folder|link|image|mask)s\b", r"\1", reason, count=1)
