"""Files of weights to tensors by name, trusting nothing: no code is run, and each fault has its own error."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from zoo.errors import WeightsError
from zoo.pretrained.place import Place, hash_in_words, sha256_of

NESTED = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")
WRAPPERS = ("_orig_mod.", "module.")  # what torch.compile and DataParallel put before every name
ZIP, PICKLE = b"PK\x03\x04", b"\x80"
LENGTH_BYTES = 8  # a safetensors file begins with the length of its header
MOST_HEADER_BYTES = 100_000_000  # the format's own limit
BROKEN_OFF = ("EOF", "truncated", "central directory", "not a ZIP", "Invalid argument")
CODE = re.compile(r"Weights only load failed.*(?:GLOBAL|class|function) ([\w.]+\.\w+)", re.DOTALL)


def check_hash(path: Path, place: Place) -> str:
    """Hash the file found at a place and compare with what is known, be it the first digits; give the hash.

    Raises WeightsError where they differ.
    """
    found, expected = sha256_of(path), place.expected_sha256(path)
    if found.startswith(expected):
        return found
    cut = " It is cut short." if _is_cut_short(path) else ""
    raise WeightsError(
        f"{path}: damaged, or another file than the one published.{cut}\n"
        f"  expected: {hash_in_words(expected)}\n  found:    sha256 {found}, {path.stat().st_size} bytes\n"
        f"  {_way_out(place)}"
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a .safetensors file, or what torch.save wrote, in any of its formats.

    A checkpoint that holds its weights under `state_dict` or the like is opened; what wrappers put before
    every name is taken off. Raises WeightsError.
    """
    with path.open("rb") as file:
        start = file.read(LENGTH_BYTES + 1)
    if start.startswith((ZIP, PICKLE)):
        content = _unwrapped(_load_pickled(path, zipped=start.startswith(ZIP)))
    elif path.suffix == ".safetensors" or start[LENGTH_BYTES:] == b"{":
        content = _load_safetensors(path)
    elif not start:
        raise WeightsError(f"{path}: truncated: the file is empty")
    else:
        raise WeightsError(f"{path}: not a file of weights: it begins with {start!r}")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        found = ", ".join(map(str, content)) or "nothing"
        raise WeightsError(f"{path}: holds no tensors by name, but {found}")
    while (wrapper := _wrapper(tensors)) is not None:  # one may be wrapped in the other
        tensors = {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
    return tensors


def _wrapper(names: Iterable[str]) -> str | None:
    """What stands before every name, if a wrapper put it there."""
    return next((wrapper for wrapper in WRAPPERS if all(name.startswith(wrapper) for name in names)), None)


def _way_out(place: Place) -> str:
    if place.origin == str(place.home):
        return "put the file in its place that has the expected hash, or state the hash of this one"
    return "delete it, or fetch it again with `python -m zoo pull SPEC`"


def _load_safetensors(path: Path) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        if _is_cut_short(path):
            raise WeightsError(f"{path}: truncated: its header tells of more than the file holds") from error
        raise WeightsError(f"{path}: not a safetensors file, or a damaged one: {error}") from error
    return content


def _load_pickled(path: Path, *, zipped: bool) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of foreign pickle protocols: what cannot be read raises
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # a damaged pickle may raise anything
        raise WeightsError(_pickle_fault(path, error)) from error


def _pickle_fault(path: Path, error: Exception) -> str:
    said = str(error)
    if code := CODE.match(said):
        return (
            f"{path}: a pickle with code in it ({code[1]}), which is not run\n"
            "  expected: tensors by name, as torch.save(net.state_dict(), path) or safetensors write them"
        )
    if isinstance(error, (EOFError, IndexError)) or any(sign in said for sign in BROKEN_OFF):
        return f"{path}: truncated: the file ends before its tensors do"
    first = said.partition("\n")[0] or type(error).__name__
    return f"{path}: not what torch.save writes, or damaged: {first}"


def _unwrapped(content: object) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        return {type(content).__name__: content} if not isinstance(content, Tensor) else {}
    for key in NESTED:
        inner = content.get(key)
        if isinstance(inner, Mapping) and any(isinstance(value, Tensor) for value in inner.values()):
            return inner
    return content


def _is_cut_short(path: Path) -> bool:
    """Say whether a file visibly lacks its end."""
    with path.open("rb") as file:
        start = file.read(LENGTH_BYTES)
        if not start.startswith((ZIP, PICKLE)) and path.suffix == ".safetensors":
            return _lacks_bytes(path, int.from_bytes(start, "little"))
    if not start:
        return True
    try:
        _load_pickled(path, zipped=start.startswith(ZIP))
    except WeightsError as error:
        return "truncated" in str(error)
    return False


def _lacks_bytes(path: Path, header_bytes: int) -> bool:
    """Compare a safetensors file's size with what its header tells."""
    size = path.stat().st_size
    if size < LENGTH_BYTES + header_bytes:
        return header_bytes <= MOST_HEADER_BYTES
    with path.open("rb") as file:
        file.seek(LENGTH_BYTES)
        try:
            entries = json.loads(file.read(header_bytes))
            end = max(entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__")
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return False
    return bool(size < LENGTH_BYTES + header_bytes + end)
