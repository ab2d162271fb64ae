"""Averages over places, whichever way a stage lays out its output; and real networks of each layout."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from torch import nn

from finetune.features.taps import HEAD, average, channels_first, stage_norms, tap


def test_maps_tokens_and_vectors() -> None:
    maps = torch.rand(2, 6, 4, 4)
    torch.testing.assert_close(average(maps, (32, 32)), maps.mean((2, 3)))
    torch.testing.assert_close(average(maps.permute(0, 2, 3, 1), (32, 32)), maps.mean((2, 3)))
    tokens = torch.rand(2, 5, 6)
    torch.testing.assert_close(average(tokens, (32, 32)), tokens.mean(1))
    torch.testing.assert_close(average(tokens[:, 0], (32, 32)), tokens[:, 0])
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 5, 6\)"):
        average(torch.rand(2, 3, 4, 5, 6), (32, 32))


def test_averages_bfloat16_in_float32() -> None:
    maps = torch.full((1, 1, 64, 64), 1.0, dtype=torch.bfloat16)
    maps[0, 0, 0, 0] = 300.0
    assert average(maps, (64, 64)).item() == pytest.approx((4095 + 300) / 4096, rel=1e-6)


@pytest.mark.parametrize(
    ("shape", "size", "first"),
    [
        ((512, 7, 7), (224, 224), True),
        ((7, 7, 768), (224, 224), False),
        ((64, 7, 14), (224, 448), True),
        ((7, 14, 64), (224, 448), False),
        ((14, 7, 64), (448, 224), False),
        ((32, 8, 9), (250, 260), True),  # rounded up on the way
        ((96, 1, 1), (32, 32), True),
        ((1, 1, 96), (32, 32), False),
        ((32, 32, 32), (64, 64), True),  # a cube: the commoner reading
    ],
)
def test_reads_the_layout_off_the_proportions(
    shape: tuple[int, int, int], size: tuple[int, int], first: bool
) -> None:
    assert channels_first(shape, size) is first


@pytest.mark.parametrize(
    ("name", "head", "stages", "widths"),
    [
        ("resnet18", "fc", ("layer1", "layer4"), (64, 512, 512)),
        ("swin_t", "head", ("features.1", "features.7"), (96, 768, 768)),
        ("vit_b_16", "heads.head", ("encoder.layers.encoder_layer_0",), (768, 768)),
    ],
)
def test_torchvision(name: str, head: str, stages: tuple[str, ...], widths: tuple[int, ...]) -> None:
    size = 224 if name.startswith("vit") else 64
    with torch.random.fork_rng(), torch.device("meta"):  # shapes are all that is asked
        net = getattr(torchvision.models, name)().eval()
        image = torch.empty(2, 3, size, size)
        check(net, image, head, stages, widths)


@pytest.mark.parametrize(
    ("name", "head", "stages", "widths"),
    [
        ("mobilenetv3_small_050", "classifier", ("blocks.1", "blocks.5"), (16, 288, 1024)),
        ("convnext_atto", "head.fc", ("stages.0", "stages.3"), (40, 320, 320)),
    ],
)
def test_timm(name: str, head: str, stages: tuple[str, ...], widths: tuple[int, ...]) -> None:
    with torch.random.fork_rng():
        net = timm.create_model(name).eval()
    check(net, torch.rand(2, 3, 64, 64), head, stages, widths)


def check(
    net: nn.Module, image: torch.Tensor, head: str, stages: tuple[str, ...], widths: tuple[int, ...]
) -> None:
    with torch.no_grad(), tap(net, head, stages, image.shape[2:]) as caught:
        net(image)
    shapes = [tuple(caught[name].shape) for name in (*stages, HEAD)]
    assert shapes == [(2, width) for width in widths]


def test_the_last_norm_of_each_stage() -> None:
    net = torchvision.models.densenet121(weights=None)
    norms = stage_norms(net, ("features.denseblock1", "features.transition1", "classifier"))
    assert norms == {
        "features.denseblock1": net.features.denseblock1.denselayer6.norm2,
        "features.transition1": net.features.transition1.norm,
    }


def test_a_stage_that_works_in_place_later_is_read_before() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 2))
    image = torch.randn(2, 3, 2, 2)
    with torch.no_grad(), tap(net, "3", ("0",), (2, 2)) as caught:
        net(image)
        torch.testing.assert_close(caught["0"], net[0](image).mean((2, 3)))
