"""A folder of image files: one folder per class, or such folders inside train/, val/ and test/."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from files.paths import expand_home
from finetune.config.data import DataSettings, match_splits
from finetune.data.images import DataError, FileImage
from finetune.data.names import natural_key
from finetune.data.source import MAX_SHOWN, ClassSource, Pool, class_item, shorten_list, source
from finetune.data.sources.walk import (
    NOTE_SUFFIXES,
    READ_FORMATS,
    Files,
    LeftOut,
    check_folder,
    find_files,
    list_folder,
)

SURROGATES = frozenset(map(chr, range(0xD800, 0xE000)))
"""What Python makes of bytes in file names that are not UTF-8."""


@source("folder")
class ClassFolders(ClassSource):
    """The images below a folder; the name of an image's folder is its class."""

    def __init__(self, settings: DataSettings) -> None:
        self.root = expand_home(str(settings.folder))
        self.where = str(self.root)

    def find(self) -> Pool:
        check_folder(self.root)
        left_out = LeftOut(self.root)
        parts = _find_parts(self.root, left_out)
        found, beside = {}, []
        for split, part in parts.items():
            loose, folders = list_folder(part, left_out)
            found[split] = {folder: find_files(folder, left_out) for folder in folders}
            beside += loose.images
            left_out.add_files(loose.others)
        classes = _class_names(self.root, found, beside)
        if {name.lower() for name in classes} == {"images", "masks"}:
            raise DataError(
                f"{self.root}: {classes[0]}/ and {classes[1]}/ are images and masks, for segmentation; "
                "expected a spec with task: segmentation (specs/examples/unet.yaml), or one folder per class"
            )
        for folders_of_split in found.values():
            for folder, files in folders_of_split.items():
                if files.others and not files.images:
                    left_out.add("folders without images", folder)
                left_out.add_files(files.others)
        left_out.add("images beside the class folders", *beside)
        index = {name: i for i, name in enumerate(classes)}
        splits = {
            split: [
                class_item(FileImage(str(path), path, self.root), index[folder.name])
                for folder, files in folders_of_split.items()
                for path in files.images
            ]
            for split, folders_of_split in found.items()
        }
        return Pool(classes, splits, left_out.warnings())

    def open_image(self, key: str) -> FileImage:
        path = self.root / key
        return FileImage(str(path), path, self.root)


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


def _find_parts(root: Path, left_out: LeftOut) -> dict[str, Path]:
    """Return the folder of each split; the root holds the training images if it has no split folders."""
    unread = LeftOut(root)
    loose, folders = list_folder(root, unread)
    split_names = {name for names in match_splits(each.name for each in folders).values() for name in names}
    if not split_names:
        return {"train": root}
    splits = [folder for folder in folders if folder.name in split_names]
    others = [folder for folder in folders if folder.name not in split_names]
    classes = [folder for folder in others if _has_images(folder)]
    if classes:
        raise DataError(
            f"{root}: {_list(splits)} reads as a split, but stands beside {_list(classes)}, which reads as a "
            "class. Put every class folder inside train/ (and val/, test/), or rename the class"
        )
    left_out.found |= unread.found
    left_out.add("folders without images", *others)
    left_out.add("images beside the split folders", *loose.images)
    left_out.add_files(loose.others)
    return match_split_folders(root, splits)


def _class_names(
    root: Path, found: Mapping[str, Mapping[Path, Files]], beside: list[Path]
) -> tuple[str, ...]:
    """Return the names of all class folders that hold an image in some split.

    Raises: DataError also for a class folder whose files are of kinds that are not read.
    """
    folders = [(folder, files) for part in found.values() for folder, files in part.items()]
    names = {folder.name for folder, files in folders if files.images}
    if not names and beside:
        where = root if len(found) == 1 else f"{root}'s split folders"
        raise DataError(
            f"{where}: {len(beside)} images, but no class folders: put each class in a folder of its name"
        )
    if not names:
        raise DataError(
            f"{root}: no images found (there are: {_count_kinds(_all_files(root))}); {READ_FORMATS}"
        )
    for folder, files in folders:
        if folder.name not in names and any(p.suffix.lower() not in NOTE_SUFFIXES for p in files.others):
            raise DataError(
                f"{folder}: no file of this class is read (there are: {_count_kinds(files.others)}); "
                f"{READ_FORMATS}. Convert the files, or remove the folder to do without the class"
            )
    garbled = [name for name in names if SURROGATES.intersection(name)]
    if garbled:
        raise DataError(
            f"{root}: the name of the class folder {garbled[0]!a} is not UTF-8, as files unpacked from "
            "zips of other systems often are; rename it"
        )
    if len(names) == 1:
        (name,) = names
        hint = _suggest_inner(next(folder for folder, _ in folders if folder.name == name))
        raise DataError(f"{root}: one class only, {name}/; expected two or more{hint}")
    return tuple(sorted(names, key=natural_key))


def _suggest_inner(folder: Path) -> str:
    """Suggest the folder itself where the class folders are inside it."""
    inner = [each for each in list_folder(folder, LeftOut(folder))[1] if _has_images(each)]
    return f". Did you mean {folder}, which holds {_list(inner)}?" if len(inner) > 1 else ""


def _has_images(folder: Path) -> bool:
    return bool(find_files(folder, LeftOut(folder)).images)


def _all_files(root: Path) -> list[Path]:
    return find_files(root, LeftOut(root)).others


def _count_kinds(files: Iterable[Path]) -> str:
    """Return such as `3 .jp2, 1 .txt`."""
    found = Counter(path.suffix.lower() or "no suffix" for path in files)
    return (
        ", ".join(f"{count} {suffix}" for suffix, count in found.most_common(MAX_SHOWN)) or "no files at all"
    )


def _list(folders: list[Path]) -> str:
    return shorten_list(f"{folder.name}/" for folder in folders)
