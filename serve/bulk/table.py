"""Tables of answers: CSV, JSON lines or Parquet, written row by row."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from files import replacing
from serve.artifact import ArtifactError

Row: TypeAlias = Mapping[str, Any]
Write: TypeAlias = Callable[[Row], None]
ROWS_AT_ONCE = 1000


@contextmanager
def open_table(path: Path, columns: Mapping[str, type]) -> Iterator[Write]:
    """Give a function that writes one row; the file takes its name when all are written.

    In: the columns of the table with the type of their values, any of which may be None. A list becomes one
    text in a CSV file. Raises: ArtifactError for another suffix than .csv, .jsonl or .parquet.
    """
    check_suffix(path)
    with replacing(path) as temporary, WRITERS[path.suffix.lower()](temporary, columns) as write:
        yield write


def check_suffix(path: Path) -> None:
    """Raises: ArtifactError for a table of an unknown kind, or one that cannot be written here."""
    if path.suffix.lower() not in WRITERS:
        kinds = ", ".join(WRITERS)
        raise ArtifactError(f"{path}: a table of this kind cannot be written. Expected a name with {kinds}")
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ModuleNotFoundError as error:
            raise ArtifactError(f"{path}: this needs the package pyarrow. Expected it, or .csv") from error


@contextmanager
def _csv(path: Path, columns: Mapping[str, type]) -> Iterator[Write]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        yield lambda row: writer.writerow({key: _cell(row.get(key)) for key in columns})


@contextmanager
def _json_lines(path: Path, columns: Mapping[str, type]) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:
        yield lambda row: print(
            json.dumps({key: row.get(key) for key in columns}, ensure_ascii=False), file=file
        )


@contextmanager
def _parquet(path: Path, columns: Mapping[str, type]) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    kinds = {str: pa.string(), float: pa.float64(), bool: pa.bool_(), list: pa.list_(pa.string())}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    held: list[Row] = []
    with ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist([dict(row) for row in held], schema=schema))
            held.clear()

        def write(row: Row) -> None:
            held.append(row)
            if len(held) == ROWS_AT_ONCE:
                flush()

        yield write
        flush()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "; ".join(value) if isinstance(value, list) else value


WRITERS = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
