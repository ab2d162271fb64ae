"""One frozen pass: what it reads, what it leaves as it was, and that known images never pass again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import zoo
from finetune.features import frozen_pass
from finetune.features.cache import FeatureCache
from finetune.features.extract import Features, extract_features, feature_key
from finetune.features.frozen_pass import FrozenPass
from finetune.runtime.precision import EXACT, Precision
from finetune.transforms.preprocess import Preprocess
from zoo.errors import GraftError

STAGES = ("low", "high")
PREPROCESS = Preprocess(height=8, width=8)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of four images on every device."""
    monkeypatch.setattr(frozen_pass, "CPU_BATCH", 4)
    monkeypatch.setattr(frozen_pass, "ACCELERATOR_BATCH", 4)


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Random uint8 pixels with a target, as the product's data set gives them; may break at one of them."""

    def __init__(self, count: int, breaks_at: int | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.randint(0, 256, (count, 3, 8, 8), generator=generator).byte()
        self.breaks_at = breaks_at

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index == self.breaks_at:
            raise KeyboardInterrupt
        return self.pixels[index], 0

    @property
    def digests(self) -> list[str]:
        return [hashlib.sha256(pixels.numpy().tobytes()).hexdigest() for pixels in self.pixels]


class Net(nn.Module):
    """Two stages and a head; counts its passes and the images in them."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            parts = OrderedDict(conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), act=nn.ReLU())
            self.low = nn.Sequential(parts)
            self.high = nn.Conv2d(4, 6, 3)
            self.drop = nn.Dropout(0.5)
            self.fc = nn.Linear(6, 2)
        self.images = 0

    def forward(self, image: Tensor) -> Tensor:
        self.images += len(image)
        out: Tensor = self.fc(self.drop(self.high(self.low(image)).relu().mean((2, 3))))
        return out


def extract(
    net: Net,
    pictures: Pictures,
    cache: FeatureCache | None = None,
    *,
    stages: tuple[str, ...] = STAGES,
    precision: Precision = EXACT,
) -> Features:
    return extract_features(
        net,
        pictures,
        PREPROCESS,
        head="fc",
        stages=stages,
        precision=precision,
        cache=cache,
        digests=pictures.digests,
    )


def cache_of(net: Net, folder: Path) -> FeatureCache:
    return FeatureCache(feature_key(net, "fc", PREPROCESS), folder)


def test_reads_stages_norms_and_the_head_s_input() -> None:
    net, pictures = Net().eval(), Pictures(6)
    with torch.no_grad():
        inputs = PREPROCESS.normalise(pictures.pixels)
        given = net.low[0](inputs)
        low = net.low(inputs)
        high = net.high(low)
    features = extract(net, pictures)
    assert list(features.stages) == ["low", "high"]
    np.testing.assert_allclose(features.stages["low"], low.mean((2, 3)), atol=1e-6)
    np.testing.assert_allclose(features.stages["high"], high.mean((2, 3)), atol=1e-6)
    np.testing.assert_allclose(features.head_input, high.relu().mean((2, 3)), atol=1e-6)
    assert list(features.norms) == ["low"]
    np.testing.assert_allclose(features.norms["low"][:, 0], given.mean((2, 3)), atol=1e-6)
    np.testing.assert_allclose(features.norms["low"][:, 1], given.square().mean((2, 3)), rtol=1e-5)
    assert features.head_input.dtype == features.stages["low"].dtype == np.float32


def test_stages_are_optional() -> None:
    features = extract(Net(), Pictures(3), stages=())
    assert features.head_input.shape == (3, 6)
    assert not features.stages
    assert not features.norms


def test_the_network_does_not_change() -> None:
    net = Net().train()
    net.low.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.get_rng_state()
    extract(net, Pictures(6), precision=Precision(autocast=True, channels_last=True))
    assert net.training
    assert not net.low.training
    assert net.fc.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(value.is_contiguous() and not value.is_inference() for value in net.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    net(torch.zeros(2, 3, 8, 8)).sum().backward()  # weights still learn
    assert net.high.weight.grad is not None


def test_bfloat16_differs_by_rounding_only() -> None:
    exact = extract(Net(), Pictures(8))
    fast = extract(Net(), Pictures(8), precision=Precision(autocast=True, channels_last=True))
    assert not np.array_equal(fast.stages["high"], exact.stages["high"])
    np.testing.assert_allclose(fast.stages["high"], exact.stages["high"], atol=0.02)  # 8 bits of mantissa
    assert fast.head_input.dtype == np.float32


def test_what_the_cache_holds_changes_no_bit(tmp_path: Path) -> None:
    whole = extract(Net(), Pictures(11))
    net = Net()
    for count in (1, 6, 7):  # each pass computes others, in other batches
        extract(net, Pictures(count), cache_of(net, tmp_path))
    rest = extract(net, Pictures(11), cache_of(net, tmp_path))
    assert rest.computed == 4
    for name in STAGES:
        np.testing.assert_array_equal(rest.stages[name], whole.stages[name])
    np.testing.assert_array_equal(rest.head_input, whole.head_input)


def test_cached_images_are_not_computed_again(tmp_path: Path) -> None:
    net = Net()
    first = extract(net, Pictures(9), cache_of(net, tmp_path))
    assert (net.images, first.computed) == (12, 9)  # in three full batches of four
    again = extract(net, Pictures(9), cache_of(net, tmp_path))
    assert (net.images, again.computed) == (12, 0)
    np.testing.assert_array_equal(again.head_input, first.head_input)
    np.testing.assert_array_equal(again.stages["low"], first.stages["low"])
    np.testing.assert_array_equal(again.norms["low"], first.norms["low"])
    more = extract(net, Pictures(10), cache_of(net, tmp_path))
    assert (net.images, more.computed) == (16, 1)
    np.testing.assert_allclose(more.head_input, extract(Net(), Pictures(10)).head_input, atol=1e-6)


def test_equal_images_pass_once_and_order_is_kept(tmp_path: Path) -> None:
    net, pictures = Net(), Pictures(5)
    pictures.pixels[3] = pictures.pixels[1]
    features = extract(net, pictures, cache_of(net, tmp_path))
    assert features.computed == net.images == 4
    np.testing.assert_allclose(features.head_input, extract(Net(), pictures).head_input, atol=1e-6)
    np.testing.assert_array_equal(features.head_input[3], features.head_input[1])


def test_other_stages_and_other_precisions_are_computed(tmp_path: Path) -> None:
    net, pictures = Net(), Pictures(4)
    extract(net, pictures, cache_of(net, tmp_path), stages=("low",))
    both = extract(net, pictures, cache_of(net, tmp_path))
    assert both.computed == 4
    assert extract(net, pictures, cache_of(net, tmp_path), stages=("high",)).computed == 0
    assert extract(net, pictures, cache_of(net, tmp_path), precision=Precision(autocast=True)).computed == 4


def test_an_interrupted_pass_keeps_what_it_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_pass, "SAVE_EVERY_S", 0.0)
    net = Net()
    with pytest.raises(KeyboardInterrupt):
        extract(net, Pictures(12, breaks_at=10), cache_of(net, tmp_path))
    assert net.training
    done, net.images = net.images, 0
    assert done == 8
    features = extract(net, Pictures(12), cache_of(net, tmp_path))
    assert features.computed == net.images == 4
    np.testing.assert_allclose(features.head_input, extract(Net(), Pictures(12)).head_input, atol=1e-6)


def test_the_key_depends_on_network_and_preprocessing() -> None:
    key = feature_key(Net(), "fc", PREPROCESS)
    assert key == feature_key(Net(), "fc", Preprocess(height=8, width=8))
    other_head = Net()
    nn.init.zeros_(other_head.fc.weight)
    other_head.fc = nn.Linear(6, 9)
    assert key == feature_key(other_head, "fc", PREPROCESS)
    other_weights, other_statistics, other_layer = Net(seed=1), Net(), Net()
    other_statistics.low[1].get_buffer("running_mean").add_(1)
    other_layer.low[2] = nn.GELU()
    keys = [feature_key(net, "fc", PREPROCESS) for net in (other_weights, other_statistics, other_layer)]
    keys.append(feature_key(Net(), "fc", Preprocess(height=8, width=8, mean=[0.4] * 3)))
    keys.append(feature_key(Net(), "fc", Preprocess(height=8, width=8, resize="crop")))
    assert len({key, *keys}) == 6


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("z: {add: {}, from: [a, c]}", "z: {add: {}, from: [b, c]}"),
        (
            "sum: {resize_to: {mode: nearest}, from: [a, c]}",
            "sum: {resize_to: {mode: bilinear}, from: [a, c]}",
        ),
    ],
)
def test_the_key_depends_on_the_wiring_of_layers(tmp_path: Path, one: str, other: str) -> None:
    keys = []
    for number, wired in enumerate((one, other)):
        path = tmp_path / f"{number}.yaml"
        path.write_text(
            "name: wired\ninput: {height: 8, width: 8}\nclasses: 2\nlayers:\n"
            "  a: {conv: {out: 3, kernel: 1}}\n  b: relu\n  c: sigmoid\n"
            f"  {wired}\n  flatten: flatten\n  fc: {{linear: {{out: $classes}}}}\n"
        )
        keys.append(feature_key(zoo.build(path, seed=0), "fc", PREPROCESS))
    assert keys[0] != keys[1]


def test_no_images() -> None:
    with pytest.raises(GraftError, match="there are no images"):
        extract(Net(), Pictures(0))


def test_damaged_weights_are_named() -> None:
    net = Net()
    with torch.no_grad():
        net.high.weight[0] = torch.nan
    with pytest.raises(GraftError, match="not finite") as error:
        extract(net, Pictures(3))
    assert "its weights are damaged" in str(error.value)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_batches_come_in_order_read_ahead_or_not(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [torch.full((3, 2, 2), number, dtype=torch.uint8) for number in range(11)]
    monkeypatch.setattr(FrozenPass, "device", torch.device(device))
    frozen = FrozenPass(torch.nn.Linear(1, 1), images, Preprocess(height=2, width=2), "head")
    batches = list(frozen._batches(np.arange(11)))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    assert torch.cat(batches)[:, 0, 0, 0].tolist() == list(range(11))
    assert not list(frozen._batches(np.arange(0)))
