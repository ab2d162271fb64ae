"""A batch of one image under a norm that needs more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from folder_kit import photos
from torch import nn

from finetune.commands import check_recipe
from finetune.runtime.norms import explain_norms
from finetune.search import search
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


SPEC = """
input: {channels: 1, height: 4, width: 4}
classes: 2
layers: {conv: {conv: {out: 2, kernel: 4}}, norm: batch_norm, flatten: flatten, fc: {linear: {out: 2}}}
finetune: {epochs: 1, batch_size: 1}
search: {trials: 1, space: {finetune.learning_rate: {log: [0.001, 0.1]}}}
"""


@pytest.mark.parametrize("command", [check_recipe, search])
def test_every_command_that_trains_explains(
    command: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(SPEC)
    with pytest.raises(GraftError, match=r"expected: finetune.batch_size 2 or more"):
        command("spec.yaml", str(photos(tmp_path / "photos", {"a": 4, "b": 4})))
