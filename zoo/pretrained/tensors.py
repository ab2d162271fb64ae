"""Read files of weights safely: no code in them runs, and every fault has its own message."""

from __future__ import annotations

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

NESTED = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")
PREFIXES = ("_orig_mod.", "module.")  # of torch.compile and DataParallel, before every name
ZIP, PICKLE = b"PK\x03\x04", b"\x80"
LENGTH_BYTES = 8  # a safetensors file begins with the length of its header
TRUNCATED_PICKLE = ("EOF", "truncated", "central directory", "not a ZIP", "Invalid argument")
TRUNCATED_SAFETENSORS = re.compile("header too small|invalid header length|not fully covered", re.IGNORECASE)
CODE = re.compile(r"Weights only load failed.*(?:GLOBAL|class|function) ([\w.]+\.\w+)", re.DOTALL)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a .safetensors file, or one written by torch.save in any of its formats.

    Weights nested in a checkpoint under `state_dict` or a similar key are found, and prefixes of wrappers
    such as DataParallel removed from the names.

    Raises: WeightsError for a file that is not one of weights, or is damaged or truncated.
    """
    try:
        with path.open("rb") as file:
            start = file.read(LENGTH_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    if start.startswith((ZIP, PICKLE)):
        content = _state_dict(_load_pickle(path, zipped=start.startswith(ZIP)))
    elif path.suffix == ".safetensors" or start[LENGTH_BYTES:] == b"{":
        content = _load_safetensors(path)
    elif not start:
        raise WeightsError(f"{path}: truncated: the file is empty")
    else:
        raise WeightsError(f"{path}: not a file of weights: it begins with {start!r}")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(
            f"{path}: contains no named tensors, but {', '.join(map(str, content)) or 'nothing'}"
        )
    while (prefix := _prefix(tensors)) is not None:
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _prefix(names: Iterable[str]) -> str | None:
    return next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in names)), None)


def _load_safetensors(path: Path) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        if TRUNCATED_SAFETENSORS.search(str(error)):
            raise WeightsError(f"{path}: truncated: {error}") from error
        raise WeightsError(f"{path}: not a safetensors file, or a damaged one: {error}") from error
    return content


def _load_pickle(path: Path, *, zipped: bool) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickle protocols
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # a damaged pickle may raise any exception
        raise WeightsError(_pickle_fault(path, error)) from error


def _pickle_fault(path: Path, error: Exception) -> str:
    message = str(error)
    if code := CODE.match(message):
        return (
            f"{path}: a pickle that would run code ({code[1]}), which is not allowed\n"
            "  expected: named tensors, as torch.save(net.state_dict(), path) or safetensors write them"
        )
    if isinstance(error, (EOFError, IndexError)) or any(sign in message for sign in TRUNCATED_PICKLE):
        return f"{path}: truncated: the file ends before its tensors do"
    first = message.partition("\n")[0] or type(error).__name__
    return f"{path}: not a file of torch.save, or a damaged one: {first}"


def _state_dict(content: object) -> Mapping[str, Any]:
    """Return the tensors in a checkpoint, or what it contains instead."""
    if not isinstance(content, Mapping):
        return {type(content).__name__: content} if not isinstance(content, Tensor) else {}
    for key in NESTED:
        inner = content.get(key)
        if isinstance(inner, Mapping) and any(isinstance(value, Tensor) for value in inner.values()):
            return inner
    return content
