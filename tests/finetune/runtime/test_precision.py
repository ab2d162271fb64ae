"""The precision is measured on the network, and nothing of the network changes by it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import pytest
import torch
from torch import Tensor, nn

from finetune.runtime.precision import EXACT, GAIN, Precision, arranged, fastest_precision


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.norm, self.fc = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 2)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.fc(self.norm(self.conv(image)).mean((2, 3)))
        return out


IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("backward", [False, True])
def test_takes_the_fastest_and_leaves_the_network_alone(backward: bool) -> None:
    net = Net().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    best = fastest_precision(net, IMAGES, backward=backward)
    assert best.name in best.images_per_s
    worth = {name: speed / (GAIN if "bfloat16" in name else 1) for name, speed in best.images_per_s.items()}
    assert worth[best.name] == pytest.approx(max(worth.values()), rel=1e-4)  # speeds are rounded
    assert "bfloat16, channels last" in best.images_per_s
    assert net.training
    assert net.norm.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(value.grad is None and value.is_contiguous() for value in net.parameters())


def test_what_is_clearly_slow_is_run_once() -> None:
    runs: list[bool] = []

    class Slow(Net):
        def forward(self, image: Tensor) -> Tensor:
            runs.append(torch.is_autocast_enabled("cpu"))
            time.sleep(0.02 if runs[-1] else 0.2)
            return super().forward(image)

    best = fastest_precision(Slow(), IMAGES)
    assert best.autocast
    assert not any(name.startswith("float32") for name in best.images_per_s)
    assert runs.count(False) == 1


def test_can_be_held_to_a_type() -> None:
    assert not fastest_precision(Net(), IMAGES, autocast=False).autocast
    assert fastest_precision(Net(), IMAGES, autocast=True).autocast


def test_a_precision_that_fails_or_overflows_does_not_take_part() -> None:
    class Picky(Net):
        def forward(self, image: Tensor) -> Tensor:
            out = super().forward(image)
            if torch.is_autocast_enabled("cpu"):
                raise RuntimeError("no such operator in bfloat16")
            return out

    class Overflowing(Net):
        def forward(self, image: Tensor) -> Tensor:
            out = super().forward(image)
            return out / 0 if torch.is_autocast_enabled("cpu") else out

    for net in (Picky(), Overflowing()):
        best = fastest_precision(net, IMAGES)
        assert not best.autocast
        assert set(best.images_per_s) == {"float32, channels last", "float32, channels first"}


def test_a_network_that_always_fails_is_left_to_fail_where_it_is_used() -> None:
    class Broken(Net):
        def forward(self, image: Tensor) -> Tensor:
            raise RuntimeError("broken")

    assert fastest_precision(Broken(), IMAGES) == EXACT


def test_the_layout_is_put_back() -> None:
    net = Net()
    with arranged(net, Precision(channels_last=True)):
        assert net.conv.weight.is_contiguous(memory_format=torch.channels_last)
        assert not net.conv.weight.is_contiguous()
    assert net.conv.weight.is_contiguous()
    net.to(memory_format=torch.channels_last)
    with arranged(net, Precision(channels_last=True)):
        pass
    assert net.conv.weight.is_contiguous(memory_format=torch.channels_last)  # as it was


def test_survives_json() -> None:
    precision = Precision(True, False, {"bfloat16, channels first": 12.5})
    assert Precision(**json.loads(json.dumps(asdict(precision)))) == precision
    assert precision.dtype == "bfloat16"
