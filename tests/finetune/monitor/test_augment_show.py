"""The augmentation of a spec as a picture of the user's images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from search_kit import write_spec
from typer.testing import CliRunner

from finetune.__main__ import app
from finetune.data import ArrayImage, Split
from finetune.monitor.augment_sheet import DRAWS, GAP_PX, LABEL_PX
from finetune.monitor.augment_show import choose_images

TILE_PX = 96  # 32 pixels, three times as large
FLIP = "augment=[{horizontal_flip: {p: 0.5}}, {brightness: {}}]"


def test_the_sheet_shows_each_step_on_the_users_images_and_warns_of_flips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["augment", str(write_spec(tmp_path)), "--set", FLIP])
    assert result.exit_code == 0, result.output
    assert "warning: horizontal_flip mirrors images" in result.output
    with Image.open("runs/digits/augment.png") as sheet:
        width, height = sheet.size
        pixels = np.asarray(sheet.convert("RGB"))
    assert width == LABEL_PX + (1 + DRAWS) * (TILE_PX + GAP_PX)
    rows = (height - 3 * GAP_PX) // (TILE_PX + GAP_PX)
    assert rows == 9  # two steps and all together, on three images
    top = height - rows * (TILE_PX + GAP_PX) - GAP_PX
    original, first = (
        pixels[top : top + TILE_PX, left : left + TILE_PX] for left in (LABEL_PX, LABEL_PX + TILE_PX + GAP_PX)
    )
    assert (first == original[:, ::-1]).all()
    assert not (first == original).all()


def test_without_steps_in_the_spec_those_of_a_run_are_shown(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    spec.write_text(spec.read_text().replace("augment: []\n", ""))
    result = CliRunner().invoke(app, ["augment", str(spec), "--out", str(tmp_path / "sheet.png")])
    assert result.exit_code == 0, result.output
    assert "the spec names no augmentation" in result.output
    assert "sheet.png: 2 steps on" in result.output.replace("\n", "")
    assert (tmp_path / "sheet.png").exists()


def test_images_of_different_classes_are_shown() -> None:
    image = ArrayImage("one", np.zeros((8, 8, 3), np.uint8))
    split = Split((image,) * 8, np.array([0, 0, 1, 2, 2, 3, 4, 4]))
    assert choose_images(split, 3) == [0, 3, 6]
    assert choose_images(split, 9) == [0, 2, 3, 5, 6]
