"""Rows with an image column and a label column: parquet files and data sets of the Hugging Face hub."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.config.data import DataSettings
from finetune.data.errors import DataError
from finetune.data.images import ImageSource, TableImage
from finetune.data.labels import agreed_names, own_names, read_labels
from finetune.data.names import read_names
from finetune.data.pool import Labelled, Pool, Source

if TYPE_CHECKING:
    from datasets import Dataset

HUB_SPLITS = {
    "train": ("train", "training"),
    "val": ("validation", "val", "valid", "dev"),
    "test": ("test",),
}


@dataclass(frozen=True)
class Table:
    """The rows of one split; `name` is what messages call it."""

    name: str
    rows: Dataset


Tables = Mapping[str, Table]


def parquet_source(settings: DataSettings) -> Source:
    """Parquet files: `parquet` holds the training images, `parquet_val` and `parquet_test` the others."""
    return _source(settings, str(settings.parquet), _read_parquet)


def hub_source(settings: DataSettings) -> Source:
    """A data set of the hub by its name, or one in the hub's layout by the path of its folder."""
    return _source(settings, str(settings.hub), _read_hub)


def _source(settings: DataSettings, where: str, read: Callable[[DataSettings], Tables]) -> Source:
    @cache
    def tables() -> Tables:
        return read(settings)

    def open_image(key: str) -> ImageSource:
        split, _, row = key.partition("/")
        return _image(settings, split, tables()[split], int(row))

    return Source(where, lambda: _find(settings, where, tables()), open_image)


def _find(settings: DataSettings, where: str, tables: Tables) -> Pool:
    rows = {split: table.rows for split, table in tables.items()}
    labels = read_labels(where, rows, settings.label_column, _class_names(settings))
    given = {
        split: [
            Labelled(_image(settings, split, tables[split], row), int(target))
            for row, target in enumerate(targets)
        ]
        for split, targets in labels.targets.items()
    }
    return Pool(where, labels.classes, given, labels.warnings)


def _image(settings: DataSettings, split: str, table: Table, row: int) -> ImageSource:
    return TableImage(f"{table.name} row {row}", split, table.rows, settings.image_column, row)


def _read_parquet(settings: DataSettings) -> dict[str, Table]:
    from datasets import Dataset

    patterns = {"train": settings.parquet, "val": settings.parquet_val, "test": settings.parquet_test}
    columns = [settings.image_column, settings.label_column]
    tables = {}
    for split, pattern in patterns.items():
        if pattern is None:
            continue
        files = _filled(_matches(split, pattern), settings)
        with _as_data_error(pattern), _no_progress_bars():
            literal = [glob.escape(file) for file in files]  # the library reads patterns, too
            rows = _undecoded(Dataset.from_parquet(literal, columns=columns), settings)
        tables[split] = Table(pattern, rows)
    return tables


def _matches(split: str, pattern: str) -> list[str]:
    if Path(pattern).expanduser().is_file():
        return [str(Path(pattern).expanduser())]  # even where its name reads as a pattern
    files = sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True))  # noqa: PTH207  may be absolute
    if not files:
        key = "parquet" if split == "train" else f"parquet_{split}"
        raise DataError(f"no file matches {pattern} (data.{key}, the {split} images)")
    return files


def _filled(files: list[str], settings: DataSettings) -> list[str]:
    """The files that hold a row, which the library needs of each one; one naming of labels in all.

    Raises: DataError.
    """
    from datasets import Features
    from pyarrow.parquet import read_metadata

    filled, names = [], {}
    for file in files:
        with _as_data_error(file):
            metadata = read_metadata(file)
            schema = metadata.schema.to_arrow_schema()
        _check_columns(file, schema.names, settings)
        if metadata.num_rows:
            filled.append(file)
            with _as_data_error(file):
                names[file] = own_names(Features.from_arrow_schema(schema)[settings.label_column])
    if not filled:
        raise DataError(f"no rows in {', '.join(files)}")
    if settings.class_names is None:
        agreed_names(names)
    return filled


def _read_hub(settings: DataSettings) -> dict[str, Table]:
    from datasets import load_dataset

    name = str(Path(str(settings.hub)).expanduser())
    with _as_data_error(f"data set {name}"), _no_progress_bars():
        found = load_dataset(name, settings.hub_config, revision=settings.hub_revision)
    tables = {}
    for split, candidates in HUB_SPLITS.items():
        own_name = next((candidate for candidate in candidates if candidate in found), None)
        if own_name is not None:
            _check_columns(f"data set {name}", found[own_name].column_names, settings)
            with _as_data_error(f"data set {name}"):
                tables[split] = Table(f"{name} {own_name}", _undecoded(found[own_name], settings))
    if "train" not in tables:
        raise DataError(f"data set {name}: no split named train; its splits: {', '.join(found)}")
    return tables


def _undecoded(table: Dataset, settings: DataSettings) -> Dataset:
    """The table with its images left as bytes."""
    from datasets import Image

    kept = table.select_columns([settings.image_column, settings.label_column])
    return kept.cast_column(settings.image_column, Image(decode=False))


def _check_columns(where: str, found: list[str], settings: DataSettings) -> None:
    for key in ("image_column", "label_column"):
        name = getattr(settings, key)
        if name not in found:
            raise DataError(f"{where}: no column '{name}' (data.{key}); its columns: {', '.join(found)}")


def _class_names(settings: DataSettings) -> tuple[str, ...] | None:
    given = settings.class_names
    return None if given is None else read_names(Path(given).expanduser(), "data.class_names")


@contextlib.contextmanager
def _as_data_error(where: str) -> Iterator[None]:
    """What the library raises on files or names that it cannot read, as our error."""
    from datasets.exceptions import DatasetsError
    from pyarrow import ArrowException

    try:
        yield
    except (OSError, ValueError, TypeError, ArrowException, DatasetsError) as error:
        raise DataError(f"{where} cannot be read: {error.__cause__ or error}") from error


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_off = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were_off:
            enable_progress_bars()
