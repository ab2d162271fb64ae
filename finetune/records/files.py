"""Writing and reading the files of a run: each is complete or not there, and in the manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import files
from finetune.records.disk import WriteError, explain_write_errors
from zoo.errors import GraftError

Record = TypeVar("Record")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; its file then takes the place of `path`. Raises: WriteError."""
    with explain_write_errors(path), files.replacing(path) as temporary:
        yield temporary


def write_text(path: Path, text: str) -> None:
    """Write a text, as `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Write indented JSON, as `replacing`."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def write_record(path: Path, schema: TypeAdapter[Record], record: Record) -> None:
    """Write a record as JSON, as `replacing`."""
    write_text(path, schema.dump_json(record, indent=2).decode() + "\n")


def read_record(path: Path, schema: TypeAdapter[Record]) -> Record:
    """Read what `write_record` wrote. Raises: GraftError when the file is missing or damaged."""
    try:
        return schema.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
        raise GraftError(
            f"{path}: missing or damaged: {reason}\n  expected: the file as the run wrote it"
        ) from error


def write_weights(path: Path, net: nn.Module) -> None:
    """Write the network's state dict as safetensors, as `replacing`."""
    write_tensors(path, net.state_dict())


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, as `replacing`."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(plain, temporary)


def read_weights(path: Path, net: nn.Module) -> None:
    """Load what `write_weights` wrote into a network of the same structure; its layout in memory stays.

    Raises: GraftError for a file that is missing, damaged, or of another network.
    """
    try:
        net.load_state_dict(read_tensors(path))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise GraftError(f"{path}: the weights of another network: {reason}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read what `write_tensors` wrote. Raises: GraftError for a file that is missing or damaged."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise GraftError(
            f"{path}: cannot be read: {reason}\n  expected: the file as the run wrote it"
        ) from error
    return tensors


def check_written(path: Path) -> None:
    """Read a file of a run back from the disk. Raises: WriteError where it is not what was written."""
    manifest = files.find_manifest(path)
    try:
        if manifest is not None:
            manifest.check(path)
    except files.DamagedFileError as error:
        raise WriteError(f"{error}\n  expected: a disk that keeps what is written to it") from error


def remove(path: Path) -> None:
    """Remove a file or folder of a run, which need not exist. Raises: WriteError."""
    with explain_write_errors(path):
        files.remove(path)


def keep_other(path: Path, text: str) -> Path | None:
    """Rename a file that holds another text: it may have been edited. Out: its new path, if renamed."""
    if not path.exists() or path.read_bytes() == text.encode():
        return None
    stem = f"{path.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (path.with_stem(f"{stem}-{number}" if number > 1 else stem) for number in count(1))
    return path.rename(next(name for name in names if not name.exists()))
