"""What the columns of a table of labels mean: paths, labels and splits."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from finetune.config.data import PATH_COLUMNS, DataSettings, match_splits
from finetune.data.images import DataError
from finetune.data.source import shorten_list
from finetune.data.sources.rows import Columns

WHOLE_NUMBER = re.compile(r"0|-?[1-9]\d*")
ONES, ZEROS = ("1", "1.0", "True"), ("0", "0.0", "False", "", "None")
FIRST_ROW = 1
"""The number of the first row in messages."""


def find_keys(where: str, columns: Columns, settings: DataSettings) -> list[str]:
    """Return the path in each row. Raises: DataError."""
    name = _path_column(columns, settings)
    if name is None:
        raise DataError(
            f"{where}: no column '{settings.image_column}' of the images' paths (data.image_column); its "
            f"columns: {', '.join(columns)}"
        )
    if not all(isinstance(value, str) for value in columns[name] if value is not None):
        raise DataError(
            f"{where}: the column '{name}' does not hold paths; a parquet file that holds the images "
            "themselves is for data.parquet"
        )
    missing = [row for row, value in enumerate(columns[name], FIRST_ROW) if not value]
    if missing:
        raise DataError(f"{where}: {len(missing)} rows have no path, such as row {missing[0]}")
    return [str(value) for value in columns[name]]


def find_labels(where: str, columns: Columns, settings: DataSettings) -> NDArray[np.generic]:
    """Return the label of each row: whole numbers int64, also where they are text, else strings.

    Raises: DataError.
    """
    name = settings.label_column
    if settings.label_columns is None and name in columns:
        return _as_labels(where, name, columns[name])
    used = (_path_column(columns, settings), settings.split_column)
    classes = settings.label_columns or tuple(each for each in columns if each not in used)
    unknown = [each for each in classes if each not in columns]
    if unknown:
        raise DataError(
            f"{where}: no column '{unknown[0]}' (data.label_columns); its columns: {', '.join(columns)}"
        )
    ones = np.array([[str(value) in ONES for value in columns[each]] for each in classes], bool)
    zeros = np.array([[str(value) in ZEROS for value in columns[each]] for each in classes], bool)
    if len(classes) < 2 or not (ones | zeros).all():  # noqa: PLR2004
        raise DataError(
            f"{where}: no column '{name}' (data.label_column), nor a column of 0 and 1 for each class "
            f"(data.label_columns); its columns: {', '.join(columns)}"
        )
    wrong = np.flatnonzero(ones.sum(axis=0) != 1)
    if len(wrong):
        raise DataError(
            f"{where}: {len(wrong)} rows have a 1 in none or in several of the columns "
            f"{shorten_list(classes)}, such as row {wrong[0] + FIRST_ROW}; expected one class for each image"
        )
    return np.array([classes[each] for each in ones.argmax(axis=0)], object)


def find_splits(where: str, columns: Columns, settings: DataSettings) -> dict[str, list[int]]:
    """Return the rows of each split; all are for training without a column of splits. Raises: DataError."""
    name = settings.split_column
    if name not in columns:
        if name != DataSettings.model_fields["split_column"].default:
            raise DataError(
                f"{where}: no column '{name}' (data.split_column); its columns: {', '.join(columns)}"
            )
        return {"train": [*range(len(next(iter(columns.values()))))]}
    values = [str("" if value is None else value).strip() for value in columns[name]]
    matched = match_splits(dict.fromkeys(values))
    split_of = {value: split for split, found in matched.items() for value in found}
    unknown = [row for row, value in enumerate(values) if value not in split_of]
    if unknown or "train" not in matched:
        found = f"'{values[unknown[0]]}' in row {unknown[0] + FIRST_ROW}" if unknown else "no train"
        raise DataError(
            f"{where}: the column '{name}' holds {found}; expected train, val (or validation, valid, dev) or "
            "test in each row; data.split_column names another column"
        )
    return {split: [row for row, value in enumerate(values) if split_of[value] == split] for split in matched}


def _path_column(columns: Columns, settings: DataSettings) -> str | None:
    """Return the column that the settings name; by default, the first that is called as such columns are."""
    default = settings.image_column == DataSettings.model_fields["image_column"].default
    names = PATH_COLUMNS if default else (settings.image_column,)
    return next((name for name in names if name in columns), None)


def _as_labels(where: str, name: str, values: Sequence[object]) -> NDArray[np.generic]:
    missing = [row for row, value in enumerate(values, FIRST_ROW) if value is None or value == ""]
    if missing:
        raise DataError(
            f"{where}: {len(missing)} rows have no label in the column '{name}', such as row {missing[0]}; "
            "expected a label in each row, or no such row"
        )
    other = {type(value).__name__ for value in values} - {"str", "int", "bool"}
    if other:
        raise DataError(f"{where}: labels are {other.pop()}; expected whole numbers or strings")
    texts = [str(value) for value in values]
    if all(WHOLE_NUMBER.fullmatch(text) for text in texts):
        return np.array([int(text) for text in texts], np.int64)
    return np.array(texts, object)
