"""A module's identity: the hash of all that decides what it computes."""

from __future__ import annotations

import hashlib
from itertools import chain

import numpy as np
import torch
from torch import nn


def module_digest(module: nn.Module, without: str = "") -> str:
    """SHA-256 of the submodules as they print themselves and of every parameter and buffer.

    `without` names a submodule that does not count, such as a head whose output is not used. How modules
    are wired is seen as far as their printing shows it.
    """
    digest = hashlib.sha256()
    for name, part in module.named_modules():
        if not _inside(name, without):
            digest.update(f"{name} {type(part).__qualname__}({part.extra_repr()})\n".encode())
    for name, value in chain(module.named_parameters(), module.named_buffers()):
        if not _inside(name, without):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(_content(value))
    return digest.hexdigest()


def _content(value: torch.Tensor) -> memoryview:
    array = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return np.ascontiguousarray(array).data


def _inside(name: str, without: str) -> bool:
    return bool(without) and (name == without or name.startswith(f"{without}."))
