"""Similarity from features alone: planted near and far images, and each rule where it applies."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finetune.features.extract import Features, extract_features
from finetune.features.taps import stage_norms
from finetune.probes.drift import measure_drift
from finetune.probes.similarity import DRIFT, measure_similarity
from finetune.probes.stage_select import measure_stages
from finetune.runtime.precision import EXACT

TARGETS = (np.arange(120) % 3).astype(np.int64)
Array = NDArray[np.float32]


def noise(width: int, seed: int, images: int = 120) -> Array:
    return np.random.default_rng(seed).standard_normal((images, width)).astype(np.float32)


def signal(width: int, seed: int, size: float) -> Array:
    return noise(width, seed) + size * np.eye(3, width, dtype=np.float32)[TARGETS]


def features_of(low: Array, head: Array) -> Features:
    return Features({"low": low}, head, {}, EXACT, computed=len(head), seconds=0.0)


class Pixels:
    """Uint8 pixels are taken for numbers from 0 to 1."""

    def normalise(self, image: Tensor) -> Tensor:
        return image.float() / 255


class Net(nn.Module):
    """Its batch norm knows images of a middling grey."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.low = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16, momentum=1.0), nn.ReLU())
            self.fc = nn.Linear(16, 3)
            self.train()(Pixels().normalise(pictures(2000, 128, 30)))
            self.eval()

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.fc(self.low(image).mean((2, 3)))
        return out


def pictures(count: int, grey: float, spread: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (grey + spread * torch.randn(count, 3, 6, 6, generator=generator)).clamp(0, 255).byte()


def features_from(net: Net, images: Tensor) -> Features:
    return extract_features(net, list(images), Pixels(), head="fc", stages=("low",), precision=EXACT)


@pytest.mark.parametrize("count", [12, 120])
def test_images_like_those_of_training_are_similar_and_others_are_not(count: int) -> None:
    net, targets = Net(), TARGETS[:count]
    near = measure_similarity(features_from(net, pictures(count, 128, 30, seed=1)), targets, net)
    dark = measure_similarity(features_from(net, pictures(count, 40, 30, seed=2)), targets, net)
    flat = measure_similarity(features_from(net, pictures(count, 128, 6, seed=3)), targets, net)
    assert (near.label, dark.label, flat.label) == ("similar", "different", "different")
    assert near.clear
    assert dark.clear
    assert (
        near.reason
        == f"the inputs of low drift by {near.score} nats per channel from those of training, "
        + (f"below {DRIFT:.2f}: similar")
    )
    assert near.evidence["drift:low"] == near.score
    assert set(near.evidence) == {"drift:low"}


def test_drift_is_near_zero_for_training_images_and_grows_with_the_shift() -> None:
    net = Net()
    norms = stage_norms(net, ("low",))
    drifts = [
        measure_drift(features_from(net, pictures(300, grey, 30, seed=4)).norms, norms)["low"]
        for grey in (128, 138, 158, 198)
    ]
    assert drifts[0].value < 0.01
    assert all(low.value + 3 * low.error < high.value for low, high in pairwise(drifts))


def test_the_error_of_the_drift_is_its_spread_over_draws() -> None:
    net = Net()
    norms = stage_norms(net, ("low",))
    draws = [
        measure_drift(features_from(net, pictures(60, 150, 30, seed=seed)).norms, norms)["low"]
        for seed in range(10, 22)
    ]
    spread = np.std([draw.value for draw in draws])
    assert 0.4 * spread < np.mean([draw.error for draw in draws]) < 2.5 * spread


def test_without_batch_norm_the_stages_are_compared() -> None:
    net = nn.Linear(1, 1)
    top = measure_similarity(features_of(low=noise(8, 0), head=signal(8, 1, 3.0)), TARGETS, net)
    early = measure_similarity(features_of(low=signal(8, 0, 3.0), head=noise(8, 1)), TARGETS, net)
    assert (top.label, early.label) == ("similar", "different")
    assert top.score == top.evidence["over earlier"]
    assert "more accurate than the best stage below it" in early.reason


def test_labels_without_signal_are_no_reason_for_certainty() -> None:
    found = measure_similarity(features_of(low=noise(8, 0), head=noise(8, 1)), TARGETS, nn.Linear(1, 1))
    assert not found.clear
    assert abs(found.evidence["probe:head"].value - 1 / 3) < 3 * found.evidence["probe:head"].error


def test_what_was_measured_before_is_used() -> None:
    features = features_of(low=noise(8, 0), head=signal(8, 1, 2.0))
    measured = measure_stages(features, TARGETS)
    again = measure_similarity(features, TARGETS, nn.Linear(1, 1), measured=measured)
    assert again == measure_similarity(features, TARGETS, nn.Linear(1, 1))
    only_top = dataclasses.replace(features, stages={})
    single = measure_similarity(only_top, TARGETS, nn.Linear(1, 1), measured=measured)
    assert single.label == "different"  # there is no stage below to compare with
    assert not single.clear
