"""The precision is measured on the network, and nothing of the network changes by it."""

from __future__ import annotations

import time
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from finetune.runtime import fastest
from finetune.runtime.fastest import fastest_precision
from finetune.runtime.precision import EXACT, Precision, arranged


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


@pytest.fixture(autouse=True)
def bfloat16_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest, "has_bfloat16", lambda _device: True)


def work(seconds: float) -> None:
    """Keep the processor busy."""
    start = time.thread_time()
    while time.thread_time() - start < seconds:
        pass


@pytest.mark.parametrize("backward", [False, True])
def test_measuring_leaves_the_network_alone(backward: bool) -> None:
    net = Net().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    strides = {name: value.stride() for name, value in net.state_dict().items()}
    fastest_precision(net, IMAGES, backward=backward)
    assert {name: value.stride() for name, value in net.state_dict().items()} == strides
    assert net.training
    assert net.norm.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(value.grad is None and value.is_contiguous() for value in net.parameters())


def test_what_is_clearly_slow_is_run_once_after_warming_up() -> None:
    runs: list[tuple[bool, int]] = []

    class Slow(Net):
        def forward(self, image: Tensor) -> Tensor:
            runs.append((torch.is_autocast_enabled("cpu"), len(image)))
            work(0.02 if runs[-1][0] else 0.06)
            return super().forward(image)

    assert fastest_precision(Slow(), IMAGES).autocast
    assert [images for autocast, images in runs if not autocast] == [2, 4]


def test_a_batch_that_would_take_too_long_is_timed_on_part_of_its_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fastest, "LIMIT_S", 0.15)
    sizes: list[int] = []

    class PerImage(Net):
        def forward(self, image: Tensor) -> Tensor:
            sizes.append(len(image))
            work(0.002 * len(image))
            return super().forward(image)

    fastest_precision(PerImage(), IMAGES.repeat(16, 1, 1, 1), autocast=False)
    assert sizes[:4] == [2, 2, 8, 8]
    timed = set(sizes[4:])
    assert len(timed) == 1
    assert 8 <= timed.pop() < 20  # 3 turns of 2 candidates at 2 ms per image: 12 images, and fewer if slower


def test_the_speed_of_the_batch_decides_and_not_that_of_a_few_images() -> None:
    class LastIsFasterOnMany(Net):
        def forward(self, image: Tensor) -> Tensor:
            last = image.is_contiguous(memory_format=torch.channels_last)
            work(0.004 if last else 0.0004 * len(image))
            return super().forward(image)

    net = LastIsFasterOnMany()
    assert fastest_precision(net, IMAGES, autocast=False) == EXACT
    many = IMAGES.repeat(8, 1, 1, 1)
    assert fastest_precision(net, many, autocast=False) == Precision(channels_last=True)


def test_the_layout_that_is_clearly_faster_is_taken_and_waiting_does_not_count() -> None:
    class LastIsFaster(Net):
        def forward(self, image: Tensor) -> Tensor:
            last = image.is_contiguous(memory_format=torch.channels_last)
            work(0.01 if last else 0.02)
            time.sleep(0.03 if last else 0.0)  # as another process takes the processor
            return super().forward(image)

    assert fastest_precision(LastIsFaster(), IMAGES, autocast=False) == Precision(channels_last=True)


def test_a_layout_that_is_hardly_faster_is_not_taken() -> None:
    class Even(Net):
        def forward(self, image: Tensor) -> Tensor:
            work(0.02)
            return super().forward(image)

    assert fastest_precision(Even(), IMAGES, autocast=False) == EXACT


def test_bfloat16_is_not_tried_where_the_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class FasterInBfloat16(Net):
        def forward(self, image: Tensor) -> Tensor:
            work(0.001 if torch.is_autocast_enabled("cpu") else 0.03)
            return super().forward(image)

    monkeypatch.setattr(fastest, "has_bfloat16", lambda _device: False)
    assert not fastest_precision(FasterInBfloat16(), IMAGES).autocast
    assert fastest_precision(FasterInBfloat16(), IMAGES, autocast=True).autocast


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
        assert not fastest_precision(net, IMAGES).autocast


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


def test_a_kernel_with_a_side_of_one_is_arranged_and_put_back_too() -> None:
    net = nn.Conv2d(4, 8, 1)
    plain, last = (4, 1, 1, 1), (4, 1, 4, 4)
    assert net.weight.stride() == plain
    with arranged(net, Precision(channels_last=True)):
        assert net.weight.stride() == last
    assert net.weight.stride() == plain
    net.to(memory_format=torch.channels_last)
    EXACT.arrange_weights(net)
    assert net.weight.stride() == plain


def test_has_a_name_that_gives_it_back() -> None:
    for autocast, last in product((False, True), repeat=2):
        precision = Precision(autocast, last)
        assert Precision.named(precision.name) == precision
    assert Precision(True, True).name == "bfloat16 channels_last"
