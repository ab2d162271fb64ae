"""A table with a row for each image: the path of its file, its label, and if given its split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from files.paths import expand_home
from finetune.config.data import DataSettings
from finetune.data.images import DataError, ImageSource, read_file
from finetune.data.names import read_names
from finetune.data.source import ClassSource, Pool, class_item, source
from finetune.data.sources.columns import FIRST_ROW, find_keys, find_labels, find_splits
from finetune.data.sources.labels import index_labels
from finetune.data.sources.rows import read_columns
from pixels import SUFFIXES

LEFT_OUT_SUFFIXES = (".jpg", ".png", ".jpeg", ".JPG")


@dataclass(frozen=True, slots=True)
class ListedImage(ImageSource):
    """The file of a row; its key is the path as the table has it."""

    given: str
    path: Path

    @property
    def key(self) -> str:
        return self.given

    def content(self) -> bytes:
        return read_file(self.path, self.name)


@source("table")
class LabelTable(ClassSource):
    """The images that a CSV or parquet file lists, wherever their files are."""

    def __init__(self, settings: DataSettings) -> None:
        self.settings = settings
        self.path = expand_home(str(settings.table))
        self.where = str(self.path)

    @cached_property
    def root(self) -> Path:
        """The folder that paths start from."""
        folder = self.settings.image_folder
        return self.path.parent if folder is None else expand_home(folder)

    def find(self) -> Pool:
        columns = read_columns(self.path)
        keys = find_keys(self.where, columns, self.settings)
        labels = find_labels(self.where, columns, self.settings)
        rows = find_splits(self.where, columns, self.settings)
        kept = self._first_rows(keys, labels)
        images = {row: self.open_image(keys[row]) for row in kept}
        if not any(image.path.is_file() for image in images.values()):
            raise DataError(
                f"{self.where}: none of its {len(images)} images is found, such as {images[0].path}; "
                "expected paths that start from the folder of the table, or from data.image_folder"
            )
        rows = {split: [row for row in found if row in images] for split, found in rows.items()}
        path = self.settings.class_names
        names = None if path is None else read_names(expand_home(path), "data.class_names")
        indexed = index_labels(self.where, {split: labels[found] for split, found in rows.items()}, names)
        splits = {
            split: [*map(class_item, (images[row] for row in found), indexed.targets[split].tolist())]
            for split, found in rows.items()
        }
        warnings = (*self._warn_repeated(len(keys) - len(kept)), *indexed.warnings)
        return Pool(indexed.classes, splits, warnings, indexed.named)

    def open_image(self, key: str) -> ListedImage:
        path = self.root / key
        if not path.is_file():
            path = next((each for each in self._other_paths(key) if each.is_file()), path)
        return ListedImage(str(path), key, path)

    def _other_paths(self, key: str) -> Iterator[Path]:
        """Yield what else a path may mean: one of Windows, and one without its suffix."""
        path = self.root / PureWindowsPath(key).as_posix()
        yield path
        if path.suffix.lower() not in SUFFIXES:
            yield from (path.with_name(path.name + suffix) for suffix in LEFT_OUT_SUFFIXES)

    def _first_rows(self, keys: Sequence[str], labels: NDArray[np.generic]) -> list[int]:
        """Return the first row of each image. Raises: DataError for an image with two labels."""
        first: dict[str, int] = {}
        for row, key in enumerate(keys):
            before = first.setdefault(key, row)
            if labels[before] != labels[row]:
                raise DataError(
                    f"{self.where}: {key} has two labels, {labels[before]} in row {before + FIRST_ROW} and "
                    f"{labels[row]} in row {row + FIRST_ROW}; expected one"
                )
        return [*first.values()]

    def _warn_repeated(self, count: int) -> Iterator[str]:
        if count:
            yield f"{self.where}: rows that repeat an image, left out: {count}"
