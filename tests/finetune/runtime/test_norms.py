"""A batch of one image under a norm that needs more."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from finetune.runtime.norms import explain_norms
from zoo.errors import GraftError


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.BatchNorm2d(4), (1, 4, 1, 1)),
        (nn.BatchNorm1d(4), (1, 4)),
        (nn.InstanceNorm2d(4), (2, 4, 1, 1)),
        (nn.GroupNorm(4, 4), (1, 4, 1, 1)),
    ],
)
def test_a_norm_of_one_value_is_explained(norm: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(
        GraftError, match=r"one value per channel .*\n  expected: finetune.batch_size 2 or more"
    ):
        explain_norms()(norm.train())(torch.zeros(shape))


def test_other_errors_and_larger_batches_are_left_alone() -> None:
    with pytest.raises(ValueError, match="other"), explain_norms():
        raise ValueError("other")
    with explain_norms():
        nn.BatchNorm2d(4)(torch.zeros(1, 4, 2, 1))
