"""Pictures of filters and activations: what is drawn is what the weights and the images are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from finetune.monitor.pictures import draw_pictures, filter_tiles, find_holder, first_filters, read_maps
from finetune.transforms.preprocess import Preprocess

pytestmark = pytest.mark.usefixtures("seeded")


def test_a_filter_of_colour_is_drawn_in_it() -> None:
    weight = torch.zeros(2, 3, 2, 2)
    weight[0, 0] = 2.0  # likes red
    weight[1, :, 0, 0] = -0.1  # dislikes light at the corner, on its own scale
    tiles = filter_tiles(weight)
    assert tiles.shape == (2, 2, 2, 3)
    assert np.allclose(tiles[0], [1.0, 0.5, 0.5])
    assert np.allclose(tiles[1, 0, 0], 0.0)
    assert np.allclose(tiles[1, 1, 1], 0.5)


def test_filters_of_other_channels_are_averaged() -> None:
    weight = torch.zeros(1, 2, 1, 1)
    weight[0, 0] = 1.0
    assert np.allclose(filter_tiles(weight), 1.0)
    assert first_filters(nn.Sequential(nn.Linear(2, 2))) is None


def test_maps_are_those_of_the_stage_the_most_varied_first() -> None:
    conv = nn.Conv2d(3, 2, 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[0.1, 0, 0], [1.0, 0, 0]])[:, :, None, None])
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    preprocess = Preprocess(height=8, width=8)
    maps = read_maps(nn.Sequential(conv), preprocess, ["0"], image)
    red = preprocess.normalise(image[None])[0, 0].numpy()
    assert np.allclose(maps["0"], np.stack([red, 0.1 * red]), atol=1e-6)


def test_stages_are_found_inside_a_wrapper() -> None:
    inner = nn.ModuleDict({"layer1": nn.Identity(), "fc": nn.Identity()})
    assert find_holder(nn.ModuleList([inner]), ["layer1", "fc"]) is inner
    assert find_holder(nn.ModuleList([inner]), ["layer9"]) is None


def test_no_convolution_no_filters(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    written = draw_pictures(net, Preprocess(height=8, width=8), ["0"], [("black", image)], tmp_path)
    assert [path.name for path in written] == ["activations-1.png"]
