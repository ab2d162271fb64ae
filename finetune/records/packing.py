"""Nested values with tensors in them, as JSON and a flat mapping of tensors, and back the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

KIND = "kind"


def pack(value: object) -> tuple[Any, dict[str, Tensor]]:
    """Return JSON values and the tensors that they name.

    In: mappings, lists, tuples, tensors, strings, numbers and None. Raises: TypeError for anything else.
    """
    tensors: dict[str, Tensor] = {}

    def convert(value: object) -> object:
        if isinstance(value, Tensor):
            name = str(len(tensors))
            tensors[name] = value
            return {KIND: "tensor", "name": name, "strides": list(value.stride())}
        if isinstance(value, Mapping):  # keys may be numbers, which JSON has not
            return {KIND: "mapping", "items": [[convert(key), convert(item)] for key, item in value.items()]}
        if isinstance(value, tuple):
            return {KIND: "tuple", "items": [convert(item) for item in value]}
        if isinstance(value, list):
            return [convert(item) for item in value]
        if value is None or isinstance(value, str | int | float):
            return value
        raise TypeError(f"a checkpoint cannot hold {type(value).__name__}: {value!r:.80}")

    return convert(value), tensors


def unpack(values: object, tensors: Mapping[str, Tensor]) -> Any:  # noqa: ANN401  (whatever was packed)
    """Return what was packed. Tensors have the layout in memory that they had: it decides which kernels run.

    Raises: ValueError, KeyError, TypeError or RuntimeError for values that `pack` does not return.
    """
    if isinstance(values, list):
        return [unpack(item, tensors) for item in values]
    if not isinstance(values, dict):
        return values
    if values[KIND] == "tensor":
        return _arrange(tensors[values["name"]], values["strides"])
    if values[KIND] == "tuple":
        return tuple(unpack(item, tensors) for item in values["items"])
    if values[KIND] == "mapping":
        return {unpack(key, tensors): unpack(item, tensors) for key, item in values["items"]}
    raise ValueError(f"unknown kind {values[KIND]!r}")


def _arrange(tensor: Tensor, strides: list[int]) -> Tensor:
    """Return the tensor with these strides; as it is, where they would leave gaps between its values."""
    size = 1
    for stride, side in sorted(zip(strides, tensor.shape, strict=True)):
        if side > 1 and stride != size:
            return tensor
        size *= side
    return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)
