"""Stages are chosen where the signal lies and where that pays; the network that results can be exported."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.densenet import DenseNet
from torchvision.models.resnet import BasicBlock, ResNet

from finetune.features.extract import Features, extract_features
from finetune.features.taps import HEAD
from finetune.models.stage_probe import StageProbe, build_stage_probe
from finetune.probes.stage_select import StageFit, best_taps, measure_stages, tap_blocks
from finetune.runtime.precision import EXACT
from finetune.transforms.preprocess import Preprocess

TARGETS = (np.arange(300) % 3).astype(np.int64)


def noise(width: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((300, width)).astype(np.float32)


def signal(width: int, seed: int, size: float = 3.0) -> NDArray[np.float32]:
    return noise(width, seed) + size * np.eye(3, width, dtype=np.float32)[TARGETS]


def features_of(**stages: NDArray[np.float32]) -> Features:
    head = stages.pop("head")
    return Features(stages, head, {}, EXACT, computed=300, seconds=0.0)


def fit_best(features: Features, targets: NDArray[np.int64]) -> StageFit:
    measured = measure_stages(features, targets)
    taps = best_taps(measured)
    return StageFit(taps, measured[taps].fit())


def test_a_signal_that_only_an_early_stage_has_is_found() -> None:
    measured = measure_stages(features_of(low=signal(8, 0), mid=noise(16, 1), head=noise(32, 2)), TARGETS)
    best = best_taps(measured)
    assert "low" in best
    assert measured[best].cv.accuracy.value > 0.9
    assert measured[HEAD,].cv.accuracy.value < 0.5
    assert set(measured) == {
        (HEAD,),
        ("mid", HEAD),
        ("low", "mid", HEAD),
        ("low",),
        ("mid",),
    }


def test_signals_that_add_up_are_joined() -> None:
    fit = fit_best(features_of(low=signal(8, 0, 1.0), head=signal(8, 1, 1.0)), TARGETS)
    assert fit.taps == ("low", HEAD)
    assert fit.probe.weight.shape == (3, 16)


@pytest.mark.parametrize("seed", range(4))
def test_the_top_is_kept_where_the_others_add_nothing(seed: int) -> None:
    features = features_of(low=noise(8, seed), mid=noise(16, seed + 10), head=signal(16, seed + 20, 2.0))
    fit = fit_best(features, TARGETS)
    assert fit.taps == (HEAD,)


@pytest.mark.parametrize("seed", range(3))
def test_never_worse_than_the_top_by_more_than_noise(seed: int) -> None:
    few = slice(60)
    blocks = {
        "low": signal(20, seed, 0.5),
        "mid": signal(20, seed + 10, 0.8),
        "head": signal(20, seed + 20, 1.2),
    }
    features = features_of(**{name: values[few] for name, values in blocks.items()})
    fit = fit_best(features, TARGETS[few])
    top = measure_stages(features, TARGETS[few])[HEAD,].fit()
    rest = np.arange(60, 300)
    joined = np.hstack([blocks["head" if name == HEAD else name] for name in fit.taps])
    chosen = (fit.probe.logits(joined[rest]).argmax(axis=1) == TARGETS[rest]).mean()
    alone = (top.logits(blocks["head"][rest]).argmax(axis=1) == TARGETS[rest]).mean()
    assert chosen >= alone - 0.06  # two standard errors of 240 images


def test_the_stage_that_is_the_head_s_input_is_read_once() -> None:
    top = noise(8, 0)
    rounded = torch.from_numpy(top).bfloat16().float().numpy()
    assert list(tap_blocks(features_of(low=noise(8, 1), high=rounded, head=top))) == ["low", HEAD]


def test_of_many_stages_some_are_read() -> None:
    stages = {f"block{i}": noise(4, i) for i in range(12)}
    assert list(tap_blocks(features_of(**stages, head=noise(8, 20)))) == [
        "block0",
        "block3",
        "block6",
        "block8",
        "block11",
        HEAD,
    ]


class Small(nn.Module):
    """Two stages and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3), nn.Linear(6, 2)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.fc(self.high(self.low(image).relu()).relu().mean((2, 3)))
        return out


@pytest.fixture
def trunk() -> Small:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small()


def test_the_network_answers_as_the_probe_does(trunk: Small) -> None:
    pixels = torch.randint(0, 256, (60, 3, 8, 8), generator=torch.Generator().manual_seed(1)).byte()
    targets = (pixels[:, 0].float().mean((1, 2)) > 127).long().numpy()  # a colour: the early stage tells
    preprocess = Preprocess(height=8, width=8)
    features = extract_features(
        trunk, list(pixels), preprocess, head="fc", stages=("low", "high"), precision=EXACT
    )
    fit = fit_best(features, targets)
    assert "low" in fit.taps
    blocks = tap_blocks(features)
    expected = fit.probe.logits(np.hstack([blocks[name] for name in fit.taps]))
    net = build_stage_probe(trunk, "fc", fit)
    with torch.no_grad():
        np.testing.assert_allclose(net(preprocess.normalise(pixels)), expected, atol=1e-3, rtol=1e-4)
    assert not net.training


def test_weights_and_gradients(trunk: Small, tmp_path: Path) -> None:
    net = StageProbe(trunk, head="fc", taps=("low", HEAD), features=10, classes=3)
    assert "fc" not in "".join(net.state_dict())  # the head that is not used does not weigh on the file
    torch.save(net.state_dict(), tmp_path / "net.pt")
    other = StageProbe(Small(), head="fc", taps=("low", HEAD), features=10, classes=3)
    other.load_state_dict(torch.load(tmp_path / "net.pt"))
    image = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(other(image), net(image))
    net(image).sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())
    assert "taps=low, head" in repr(net)


@pytest.mark.parametrize(
    ("trunk", "head", "taps", "features"),
    [
        (ResNet(BasicBlock, [1, 1, 1, 1]), "fc", ("layer1", "layer3", HEAD), 64 + 256 + 512),
        (DenseNet(8, (2, 2), 16), "classifier", ("features.denseblock1", HEAD), 32 + 32),
    ],
    ids=["resnet", "densenet"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter's own parts
def test_exported_it_answers_alike(
    trunk: nn.Module, head: str, taps: tuple[str, ...], features: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = StageProbe(trunk, head=head, taps=taps, features=features, classes=3).eval()
        images = torch.rand(3, 3, 32, 32)
    program = torch.onnx.export(
        net,
        (images[:2],),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    (answer,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(answer, net(images), atol=1e-5)  # float32 summed in another order
