"""Pictures of filters and activations: what is drawn is what the weights and the images are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from subject_kit import QUICK, make_subject, write_tiny
from torch import nn
from typer.testing import CliRunner

from finetune.__main__ import app
from finetune.engine.loop import build_loop
from finetune.engine.trainer import train
from finetune.monitor.pictures import draw_pictures, filter_tiles, first_filters, holder, read_maps
from finetune.records.run_folder import RunFolder
from finetune.transforms.preprocess import Preprocess

pytestmark = pytest.mark.usefixtures("seeded")


def colours(path: Path) -> int:
    with Image.open(path) as picture:
        return len(picture.convert("RGB").getcolors(1 << 20) or [])


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
    assert holder(nn.ModuleList([inner]), ["layer1", "fc"]) is inner
    assert holder(nn.ModuleList([inner]), ["layer9"]) is None


def test_no_convolution_no_filters(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    written = draw_pictures(net, Preprocess(height=8, width=8), ["0"], [("black", image)], tmp_path)
    assert [path.name for path in written] == ["activations-1.png"]


def test_training_draws_when_asked(tmp_path: Path) -> None:
    given = {"finetune.checks": "none", "finetune.epochs": 1, "finetune.monitor.pictures": True}
    subject = make_subject(tmp_path, {**given, "finetune.trackers": []})
    train(build_loop(subject.setup, subject.plan, RunFolder(tmp_path), Console(quiet=True)))
    drawn = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert drawn == ["activations-1.png", "activations-2.png", "activations-3.png", "filters.png"]
    assert all(colours(tmp_path / "pictures" / name) > 30 for name in drawn)


def test_the_command_draws_a_finished_run(tmp_path: Path) -> None:
    quick = {**QUICK, "finetune.epochs": 1, "data.val": 0.3, "data.test": 0.4, "export.parity_images": 4}
    pairs = [part for key, value in quick.items() for part in ("--set", f"{key}={value}")]
    run = tmp_path / "run"
    trained = CliRunner().invoke(app, ["run", str(write_tiny(tmp_path)), "--run", str(run), *pairs])
    assert trained.exit_code == 0, trained.output
    drawn = CliRunner().invoke(app, ["pictures", str(run)])
    assert drawn.exit_code == 0, drawn.output
    assert colours(run / "pictures" / "filters.png") > 30
