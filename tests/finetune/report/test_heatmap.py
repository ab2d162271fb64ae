"""The heatmap shows where the class is, whatever the layout and depth of the network's maps."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from finetune.models.stage_probe import StageProbe
from finetune.report.page.heatmap import draw_heat


def spot_net() -> nn.Sequential:
    """A network whose class 1 is a bright spot; its deepest stage has a single cell."""
    stage = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.ReLU(inplace=True), nn.AvgPool2d(2))
    net = nn.Sequential(
        stage, nn.ReLU(inplace=True), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(2, 2, bias=False)
    )
    with torch.no_grad():
        stage[0].weight[:] = torch.tensor([1.0, -1.0])[:, None, None, None] / 9
        net[4].weight[:] = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    return net.eval()


def test_heat_is_where_the_spot_is() -> None:
    images = torch.zeros(2, 1, 16, 16)
    images[0, 0, 2:5, 10:13] = 1
    images[1, 0, 12:15, 1:4] = 1
    heat = draw_heat(spot_net(), images, [1, 1], ["0", "2"])
    assert heat is not None
    places = [np.unravel_index(one.argmax(), one.shape) for one in heat]
    assert [one.shape for one in heat] == [(8, 8)] * 2  # not the single cell of the last stage
    assert places[0][0] <= 2 and places[0][1] in (5, 6)
    assert places[1][0] in (6, 7) and places[1][1] <= 2
    assert all(one.max() == 1 and one.min() >= 0 for one in heat)


def test_network_without_maps_has_no_heat() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    assert draw_heat(net, torch.zeros(1, 1, 4, 4), [0], ["1"]) is None


def test_stages_that_a_stage_probe_does_not_read_have_no_part() -> None:
    trunk = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(2 * 8 * 8, 2))
    probe = StageProbe(trunk, head="3", taps=["0"], features=2, classes=2).eval()
    heat = draw_heat(probe, torch.rand(3, 1, 8, 8), [0, 1, 0], ["0", "1"])
    assert heat is not None
    assert [one.shape for one in heat] == [(8, 8)] * 3
