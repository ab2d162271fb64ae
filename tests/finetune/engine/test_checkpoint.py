"""A checkpoint continues a training bit by bit, and what is wrong with one is told in one message."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from files import Manifest
from finetune.engine.callbacks import DivergenceGuard
from finetune.engine.checkpoint import Checkpoint
from finetune.optim.optimizers import OPTIMIZERS
from finetune.runtime.precision import Precision
from zoo.errors import GraftError


def parts(optimizer: str = "adamw", **options: object) -> tuple[nn.Module, torch.optim.Optimizer, Checkpoint]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.Dropout(0.5))
    Precision(channels_last=True).arrange_weights(net)
    groups = [{"params": list(net.parameters()), "lr": 0.01, "weight_decay": 0.0}]
    built = OPTIMIZERS[optimizer].function(groups, **options)
    return net, built, Checkpoint(Path(), {"net": net, "optimizer": built})


def step(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    net(torch.rand(2, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize(
    ("name", "options"),
    [("sgd", {}), ("adamw", {}), ("rmsprop", {"nesterov": True, "momentum": 0.9}), ("adagrad", {})]
    + [("timm", {"name": name}) for name in ("lookahead_radam", "lamb", "adafactor", "nadamw")],
)
def test_training_goes_on_with_the_same_bits(name: str, options: dict[str, object], tmp_path: Path) -> None:
    net, optimizer, checkpoint = parts(name, **options)
    step(net, optimizer)
    Checkpoint(tmp_path, checkpoint.parts).save("one")
    draws = (random.random(), np.random.rand(), torch.rand(2).tolist())
    for _ in range(3):
        step(net, optimizer)
    again, optimizer, checkpoint = parts(name, **options)
    assert Checkpoint(tmp_path, checkpoint.parts).load()
    assert (random.random(), np.random.rand(), torch.rand(2).tolist()) == draws
    for _ in range(3):
        step(again, optimizer)
    for one, other in zip(net.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
        assert one.stride() == other.stride()


def test_it_holds_nothing_but_tensors_and_json(tmp_path: Path) -> None:
    Manifest(tmp_path).start()
    checkpoint = Checkpoint(tmp_path / "checkpoint", parts()[2].parts)
    for name in ("one", "two"):
        checkpoint.save(name)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    state = {"checkpoint/two/state.json", "checkpoint/two/tensors.safetensors", "checkpoint/latest"}
    assert files == {*state, "manifest.jsonl"}
    assert not list(Manifest(tmp_path).damaged())


def test_the_guard_against_divergence_remembers_what_it_saw(tmp_path: Path) -> None:
    guard, again = DivergenceGuard(1.0), DivergenceGuard(1.0)
    for loss in (4.0, 11.0, 13.0):
        guard.divergence.observe(loss)
    Checkpoint(tmp_path, {"guard": guard}).save("one")
    assert Checkpoint(tmp_path, {"guard": again}).load()
    assert again.divergence.observe(20.0) == guard.divergence.observe(20.0)
    assert again.divergence.start == 4.0


def test_without_a_state_training_starts_anew(tmp_path: Path) -> None:
    assert not Checkpoint(tmp_path, parts()[2].parts).load()


def test_a_state_that_does_not_fit_is_one_message(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, parts()[2].parts)
    checkpoint.save("one")
    state, tensors = tmp_path / "one" / "state.json", tmp_path / "one" / "tensors.safetensors"
    whole, values = state.read_text(), load_file(tensors)
    wrong = [
        "{",
        "[]",
        json.dumps({"format": 1, "states": 5}),
        whole.replace('"format": 1', '"format": 9'),
        whole.replace('"name": "0"', '"name": "nine"'),
        whole.replace('["torch", ', '["Torch", '),
    ]
    for text in wrong:
        assert text != whole
        state.write_text(text)
        with pytest.raises(GraftError, match="this state of the training cannot be restored"):
            checkpoint.load()
    state.write_text(whole)
    save_file({name: each for name, each in values.items() if name != "0"}, tensors)
    with pytest.raises(GraftError, match="cannot be restored"):
        checkpoint.load()
    tensors.write_bytes(b"\x80\x04cos\nsystem\n.")  # the start of a pickle
    with pytest.raises(GraftError, match="cannot be"):
        checkpoint.load()
