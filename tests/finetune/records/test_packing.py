"""Values in a checkpoint come back as they were: types, bits, and the layout of tensors."""

from __future__ import annotations

import json
import math

import pytest
import torch

from finetune.records.packing import pack, unpack


def back(value: object) -> object:
    values, tensors = pack(value)
    return unpack(json.loads(json.dumps(values)), {name: each.contiguous() for name, each in tensors.items()})


def test_nested_values_come_back_with_their_types() -> None:
    value = {0: {"a": (1, 2.5, None)}, "b": [True, "text", -math.inf], "kind": {}, (1, "x"): 1e-308}
    assert back(value) == value
    assert isinstance(back((1,)), tuple)


def test_tensors_keep_bits_and_layout() -> None:
    last = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    one = torch.rand(4, 6, 1, 1).contiguous(memory_format=torch.channels_last)
    for tensor in (
        last,
        one,
        torch.tensor(3),
        torch.zeros(0, 2),
        last.bfloat16(),
        torch.arange(6).view(2, 3).T,
    ):
        found = back(tensor)
        assert isinstance(found, torch.Tensor)
        assert torch.equal(found, tensor)
        assert (found.dtype, found.stride()) == (tensor.dtype, tensor.stride())
    assert isinstance(gaps := back(torch.rand(4, 4)[:, :2]), torch.Tensor)
    assert gaps.is_contiguous()


def test_what_json_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="a checkpoint cannot hold set"):
        pack({"a": {1, 2}})
    with pytest.raises((ValueError, RuntimeError)):
        unpack({"kind": "tensor", "name": "0", "strides": [1]}, {"0": torch.zeros(2, 2)})
    with pytest.raises(ValueError, match="unknown kind 'code'"):
        unpack({"kind": "code"}, {})
