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

from zoo import limits
from zoo.errors import WeightsError
from zoo.pretrained.pickles import DAMAGED, EXPECTED, TRUNCATED, PickleError, check_legacy, check_zip

NESTED = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")
PREFIXES = ("_orig_mod.", "module.")  # of torch.compile and DataParallel, before every name
ZIP, PICKLE = b"PK\x03\x04", b"\x80"
LENGTH_BYTES = 8  # a safetensors file begins with the length of its header
TRUNCATED_PICKLE = ("EOF", "truncated", "central directory", "not a ZIP", "Invalid argument")
TRUNCATED_SAFETENSORS = re.compile("header too small|invalid header length|not fully covered", re.IGNORECASE)
ADVICE = "weights_only"
SHOWN_NAMES, SHOWN_NAME = 10, 80


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
    if start[LENGTH_BYTES:] == b"{":  # first, since a length may begin with the byte of a pickle
        content = _load_safetensors(path)
    elif start.startswith((ZIP, PICKLE)):
        content = _state_dict(_load_pickle(path, zipped=start.startswith(ZIP)))
    elif path.suffix == ".safetensors":
        content = _load_safetensors(path)
    elif not start:
        raise WeightsError(f"{path}: truncated: the file is empty")
    else:
        raise WeightsError(f"{path}: not a file of weights: it begins with {start!r}")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        names = [name[:SHOWN_NAME] for name in content if isinstance(name, str)][:SHOWN_NAMES]
        raise WeightsError(f"{path}: contains no named tensors, but {', '.join(names) or 'nothing'}")
    for name, tensor in tensors.items():
        _check_tensor(path, name, tensor)
    while (prefix := _prefix(tensors)) is not None:
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _prefix(names: Iterable[str]) -> str | None:
    return next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in names)), None)


def _load_safetensors(path: Path) -> Mapping[str, Any]:
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if limits.MAX_HEADER_BYTES < header_bytes <= path.stat().st_size:
        raise WeightsError(f"{path}: a list of tensors of {header_bytes:,} bytes")
    try:
        content: Mapping[str, Any] = safetensors.torch.load_file(path)
    except Exception as error:  # also KeyError for a type that torch lacks
        if TRUNCATED_SAFETENSORS.search(str(error)):
            raise WeightsError(f"{path}: truncated: {error}") from error
        raise WeightsError(f"{path}: not a safetensors file, or a damaged one: {error}") from error
    return content


def _load_pickle(path: Path, *, zipped: bool) -> object:
    try:
        (check_zip if zipped else check_legacy)(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickle protocols
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except PickleError as error:
        raise WeightsError(f"{path}: {error}") from error
    except Exception as error:  # a damaged pickle may raise any exception
        raise WeightsError(f"{path}: {_fault(error)}") from error


def _fault(error: Exception) -> str:
    """Return what torch found; its advice to allow code in pickles is not passed on."""
    message = str(error)
    if isinstance(error, (EOFError, IndexError)) or any(sign in message for sign in TRUNCATED_PICKLE):
        return TRUNCATED
    first = message.partition("\n")[0]
    return DAMAGED if not first or ADVICE in first else f"{DAMAGED}: {first}"


def _check_tensor(path: Path, name: str, tensor: Tensor) -> None:
    """Check that a tensor holds its numbers, each once. Raises: WeightsError."""
    kind = ""
    if tensor.layout != torch.strided or tensor.is_nested:
        kind = "sparse"
    elif tensor.is_quantized:
        kind = "quantised"
    elif tensor.device.type != "cpu":
        kind = "empty (meta)"
    elif tensor.is_complex():
        kind = "complex"
    elif tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        kind = "expanded"
    if kind:
        raise WeightsError(f"{path}: the tensor {name} is {kind}\n{EXPECTED}")


def _state_dict(content: object) -> Mapping[str, Any]:
    """Return the tensors in a checkpoint, or what it contains instead."""
    if not isinstance(content, Mapping):
        return {type(content).__name__: content} if not isinstance(content, Tensor) else {}
    for key in NESTED:
        inner = content.get(key)
        if isinstance(inner, Mapping) and any(isinstance(value, Tensor) for value in inner.values()):
            return inner
    return content
