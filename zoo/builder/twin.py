"""Another module like one that exists, without constructing it: a network repeats few different layers."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn


def twin(module: nn.Module, device: str) -> nn.Module:
    """Give a module that shares nothing with `module` but its settings; its weights are not filled.

    A tenth of the time of the constructor, most of which goes into weights that are drawn again anyway.
    """
    copy: nn.Module = type(module).__new__(type(module))
    state = copy.__dict__
    for name, value in module.__dict__.items():
        state[name] = value.copy() if type(value) in (dict, OrderedDict, set) else value
    for name, parameter in module._parameters.items():
        if parameter is not None:
            state["_parameters"][name] = nn.Parameter(_blank(parameter, device))
    for name, buffer in module._buffers.items():
        if buffer is not None:
            state["_buffers"][name] = _blank(buffer, device)
    for name, child in module._modules.items():
        if child is not None:
            state["_modules"][name] = twin(child, device)
    return copy


def _blank(tensor: Tensor, device: str) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
