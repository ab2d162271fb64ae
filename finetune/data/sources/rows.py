"""Reading a table of text and numbers: CSV and parquet files as columns."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from finetune.data.images import DataError

Columns = dict[str, list[Any]]
"""The values of each column; those of CSV files are text."""

DELIMITERS = (",", ";", "\t")


def read_columns(path: Path) -> Columns:
    """Return the columns of a CSV, TSV or parquet file. Raises: DataError."""
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {found}; expected a CSV or parquet file in data.table (DATA=)")
    columns = _read_parquet(path) if path.suffix.lower() == ".parquet" else read_csv(path)
    if not columns or not next(iter(columns.values())):
        raise DataError(f"{path}: no rows; expected one for each image below a row with the columns' names")
    return columns


def read_csv(path: Path) -> Columns:
    """Return the columns of a CSV file, separated by commas, semicolons or tabs. Raises: DataError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(DELIMITERS, key=first.count)
            names, *rows = [row for row in csv.reader(file, delimiter=delimiter, strict=True) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file in UTF-8: {error}") from error
    names = [name.strip() for name in names]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise DataError(f"{path}: two columns are called '{repeated[0]}'; expected different names")
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise DataError(
                f"{path}: row {number} has {len(row)} cells; expected {len(names)}, one for each of the "
                f"columns {', '.join(names)}"
            )
    return {name: [row[i].strip() for row in rows] for i, name in enumerate(names)}


def _read_parquet(path: Path) -> Columns:
    from pyarrow import ArrowException, parquet

    try:
        columns: Columns = parquet.read_table(path).to_pydict()
    except (OSError, ValueError, ArrowException) as error:
        raise DataError(f"{path}: not a parquet file: {error}") from error
    return columns
