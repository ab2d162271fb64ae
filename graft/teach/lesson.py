"""A lesson: named classes with image files, checked, and written as the folder that a run learns from."""

from __future__ import annotations

import re
import shutil
import unicodedata
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from finetune.config.data import SPLIT_NAMES
from finetune.data.sources.walk import SYSTEM_FOLDERS
from pixels import SUFFIXES
from pixels.text import printable

LEAST_CLASSES, LEAST_IMAGES = 2, 3
MOST_NAME = 60
"""Longest name of a class, in characters."""
UNSAFE = re.compile(r"[\\/:*?\"<>|]")
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
"""Names that Windows does not allow for folders."""
SPLITS = {name for names in SPLIT_NAMES.values() for name in names}
DATA = "data"
"""The folder of the images in the folder of a lesson."""


class LessonError(Exception):
    """Classes or images that nothing can be learned from; the message says what to change."""


@dataclass(frozen=True)
class Lesson:
    """The images in `folder`/data, one folder per class; `given` has the name that each file came with."""

    folder: Path
    given: Mapping[str, str]

    @property
    def data(self) -> Path:
        """The folder that `make finetune DATA=` takes."""
        return self.folder / DATA


def check_classes(rows: Sequence[tuple[str, Sequence[Path]]]) -> dict[str, Sequence[Path]]:
    """Return the image files of each class by its name. Rows with neither name nor image do not count.

    Raises: LessonError with all that is wrong, a line each.
    """
    found: dict[str, Sequence[Path]] = {}
    faults: list[str] = []
    for number, (text, files) in enumerate(rows, 1):
        name = unicodedata.normalize("NFC", text).strip()
        if not name and not files:
            continue
        fault = check_name(name, number)
        if not fault and name.casefold() in map(str.casefold, found):
            fault = f"Two classes are called {name}. Give each its own name."
        if not fault and len(files) < LEAST_IMAGES:
            fault = f"{name} has {_number(len(files))}. Add images until it has {LEAST_IMAGES} or more."
        if fault:
            faults.append(fault)
        found.setdefault(name, files)
    if not faults and len(found) < LEAST_CLASSES:
        faults.append(f"Name {LEAST_CLASSES} classes or more, and give each {LEAST_IMAGES} images or more.")
    if faults:
        raise LessonError("\n".join(faults))
    return found


def check_name(name: str, number: int) -> str:
    """Return what is wrong with the name of a class, which becomes the name of a folder; "" if nothing."""
    shown = printable(name)
    if not name:
        return f"Class {number} has images and no name. Give it a name."
    if len(name) > MOST_NAME:
        return f"{shown[:20]}… is too long for a name. Use {MOST_NAME} characters or fewer."
    if (wrong := UNSAFE.search(name)) or not name.isprintable():
        what = wrong.group() if wrong else "a character that cannot be seen"
        return f"The name {shown} contains {what}. Use letters, digits, spaces and dashes."
    if name[0] == "." or name[-1] == ".":
        return f"The name {shown} starts or ends with a dot. Use another name."
    if name.casefold() in DEVICES | SPLITS | SYSTEM_FOLDERS:
        return f"{shown} means something else as the name of a folder. Use another name, such as my {shown}."
    return ""


def write_lesson(folder: Path, classes: Mapping[str, Sequence[Path]]) -> Lesson:
    """Copy the images of each class, unchanged, to `folder`/data/NAME/001.jpg and so on. Raises: OSError."""
    given: dict[str, str] = {}
    for name, files in classes.items():
        home = folder / DATA / name
        home.mkdir(parents=True)
        for number, file in enumerate(files, 1):
            suffix = file.suffix.lower()
            # A file of another kind gets a name by which it is read, so that what is wrong with it is said.
            path = home / f"{number:03}{suffix if suffix in SUFFIXES else '.jpg'}"
            shutil.copyfile(file, path)
            given[f"{name}/{path.name}"] = file.name
    return Lesson(folder, given)


def new_folder(runs: Path) -> Path:
    """Make a folder in `runs`/teach, named by the time. Raises: OSError."""
    stem = f"{datetime.now():%Y%m%d-%H%M%S}"
    for number in count(1):
        folder = runs / "teach" / (f"{stem}-{number}" if number > 1 else stem)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("count has no end")


def zip_data(lesson: Lesson, path: Path) -> Path:
    """Write the folder of images as a zip file, a folder per class in it. Raises: OSError."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:  # images are compressed already
        for image in sorted(lesson.data.rglob("*.*")):
            file.write(image, image.relative_to(lesson.data))
    return path


def _number(images: int) -> str:
    return {0: "no image", 1: "1 image"}.get(images, f"{images} images")
