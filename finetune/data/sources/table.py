"""Rows with an image column and a label column: parquet files and data sets of the Hugging Face hub."""

from __future__ import annotations

import contextlib
import glob
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from files.paths import expand_home
from finetune.config.data import DataSettings, match_splits
from finetune.data.images import DataError
from finetune.data.names import read_names
from finetune.data.source import ClassSource, Pool, class_item, source
from finetune.data.sources.labels import agreed_names, own_names, read_labels
from finetune.data.sources.table_image import ListImage, TableImage, is_pixel_list
from finetune.data.sources.walk import LeftOut, list_folder

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Table:
    """The rows of one split, and its name in messages; `lists` where the images are lists of numbers."""

    name: str
    rows: Dataset
    lists: bool


class TableSource(ClassSource):
    """Tables of images and labels, one per split."""

    def __init__(self, settings: DataSettings) -> None:
        self.settings = settings
        self.where = str(getattr(settings, settings.source))

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """The table of each split."""
        return self.read_tables()

    @abstractmethod
    def read_tables(self) -> Mapping[str, Table]:
        """Open the table of each split. Raises: DataError."""

    def find(self) -> Pool:
        rows = {split: table.rows for split, table in self.tables.items()}
        path = self.settings.class_names
        names = None if path is None else read_names(expand_home(path), "data.class_names")
        labels = read_labels(self.where, rows, self.settings.label_column, names)
        splits = {
            split: [
                class_item(self.open_image(f"{split}/{row}"), target)
                for row, target in enumerate(targets.tolist())
            ]
            for split, targets in labels.targets.items()
        }
        return Pool(labels.classes, splits, (*self.left_out(), *labels.warnings), labels.named)

    def open_image(self, key: str) -> TableImage:
        split, _, row = key.partition("/")
        table = self.tables[split]
        kind = ListImage if table.lists else TableImage
        return kind(f"{table.name} row {row}", split, table.rows, self.settings.image_column, int(row))

    def make_table(self, name: str, rows: Dataset) -> Table:
        """Return the image and label columns, with the images as they are stored. Raises: DataError."""
        from datasets import Image

        column = self.settings.image_column
        kept = rows.select_columns([column, self.settings.label_column])
        lists = is_pixel_list(name, rows.data.schema.field(column).type)
        if not lists:
            kept = kept.cast_column(column, Image(decode=False))
        return Table(name, kept, lists)

    def left_out(self) -> tuple[str, ...]:
        """Return a warning where something beside the tables is left out."""
        return ()

    def check_columns(self, where: str, found: list[str]) -> None:
        """Raises: DataError for a column that is missing."""
        for key in ("image_column", "label_column"):
            name = getattr(self.settings, key)
            if name not in found:
                raise DataError(f"{where}: no column '{name}' (data.{key}); its columns: {', '.join(found)}")


@source("parquet")
class ParquetFiles(TableSource):
    """Parquet files: `parquet` names the training images, `parquet_val` and `parquet_test` the others."""

    def read_tables(self) -> dict[str, Table]:
        from datasets import Dataset

        keys = {"train": "parquet", "val": "parquet_val", "test": "parquet_test"}
        columns = [self.settings.image_column, self.settings.label_column]
        tables = {}
        for split, key in keys.items():
            pattern = getattr(self.settings, key)
            if pattern is None:
                continue
            files = self._drop_empty(_match_files(pattern, f"data.{key}, the {split} images"))
            with _as_data_error(pattern), _no_progress_bars():
                literal = [glob.escape(file) for file in files]  # the library reads patterns, too
                rows = Dataset.from_parquet(literal, columns=columns)
                tables[split] = self.make_table(pattern, rows)
        return tables

    def left_out(self) -> tuple[str, ...]:
        """Return a warning for what stands beside files that were found by a pattern."""
        root = expand_home(self.where).parent
        if not glob.has_magic(Path(self.where).name) or not root.is_dir():
            return ()
        patterns = [p for p in (self.where, self.settings.parquet_val, self.settings.parquet_test) if p]
        used = {Path(file) for pattern in patterns for file in _match_files(pattern, "")}
        left_out = LeftOut(root)
        files, folders = list_folder(root, left_out)
        left_out.add("folders", *(each for each in folders if not any(each in file.parents for file in used)))
        names = self.settings.class_names
        used |= {expand_home(names)} if names is not None else set()
        left_out.add_files([path for path in (*files.images, *files.others) if path not in used])
        return left_out.warnings()

    def _drop_empty(self, files: list[str]) -> list[str]:
        """Return the files that have rows, as the library requires; check that they agree on class names."""
        from datasets import Features
        from pyarrow.parquet import read_metadata

        filled, names = [], {}
        for file in files:
            with _as_data_error(file):
                metadata = read_metadata(file)
                schema = metadata.schema.to_arrow_schema()
            self.check_columns(file, schema.names)
            if metadata.num_rows:
                filled.append(file)
                with _as_data_error(file):
                    names[file] = own_names(Features.from_arrow_schema(schema)[self.settings.label_column])
        if not filled:
            raise DataError(f"no rows in {', '.join(files)}")
        if self.settings.class_names is None:
            agreed_names(names)
        return filled


@source("hub")
class HubDataset(TableSource):
    """A data set of the hub by its name, or one in the hub's layout by the path of its folder."""

    def read_tables(self) -> dict[str, Table]:
        from datasets import load_dataset

        name = str(expand_home(str(self.settings.hub)))
        where = f"data set {name}"
        with _as_data_error(where), _no_progress_bars():
            found = load_dataset(name, self.settings.hub_config, revision=self.settings.hub_revision)
        tables = {}
        for split, (own_name, *_) in match_splits(found).items():
            self.check_columns(where, found[own_name].column_names)
            with _as_data_error(where):
                tables[split] = self.make_table(f"{name} {own_name}", found[own_name])
        if "train" not in tables:
            raise DataError(f"{where}: no split named train; its splits: {', '.join(found)}")
        return tables


def _match_files(pattern: str, purpose: str) -> list[str]:
    path = expand_home(pattern)
    if path.is_file():
        return [str(path)]  # even where its name reads as a pattern
    files = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  may be absolute
    if not files:
        raise DataError(f"no file matches {pattern} ({purpose})")
    return files


@contextlib.contextmanager
def _as_data_error(where: str) -> Iterator[None]:
    """Turn what the library raises for files or names that it cannot read into a DataError."""
    from datasets.exceptions import DatasetsError
    from pyarrow import ArrowException

    try:
        yield
    except (OSError, ValueError, TypeError, ArrowException, DatasetsError) as error:
        raise DataError(f"{where} cannot be read: {error.__cause__ or error}") from error


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_disabled = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were_disabled:
            enable_progress_bars()
