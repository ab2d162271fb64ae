"""The commands beside training: checks of a recipe, and pictures of runs and augmentations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from search_kit import write_spec
from subject_kit import write_tiny
from typer.testing import CliRunner

from finetune.__main__ import app
from finetune.checks.run import CHECKS
from finetune.monitor.augment_sheet import DRAWS, GAP_PX, LABEL_PX

TILE_PX = 96  # 32 pixels, three times as large
FLIP = "augment=[{horizontal_flip: {p: 0.5}}, {brightness: {}}]"
QUICK = {
    **{
        "finetune.precision": "float32",
        "finetune.batch_size": 32,
        "finetune.epochs": 1,
        "finetune.trackers": "[]",
    },
    **{"data.val": 0.2, "data.test": 0.5, "export.parity_images": 2},
}


def invoke(*arguments: object, **settings: object) -> tuple[int, str]:
    """Run a command. Out: its exit code and its output."""
    pairs = [part for key, value in {**QUICK, **settings}.items() for part in ("--set", f"{key}={value}")]
    result = CliRunner().invoke(app, [*map(str, arguments), *pairs])
    return result.exit_code, result.output


def colours(path: Path) -> int:
    with Image.open(path) as picture:
        return len(picture.convert("RGB").getcolors(1 << 20) or [])


def test_checks_are_shown_in_a_table_and_a_failure_exits_with_code_2(tmp_path: Path) -> None:
    spec, plot = write_tiny(tmp_path), tmp_path / "rates.png"
    code, output = invoke("check", spec, "--plot", plot)
    assert code == 0, output
    assert output.count("passed") == 2 * len(CHECKS)  # one by one, and in the table
    assert colours(plot) > 50
    code, output = invoke("check", spec, "--plot", plot, **{"finetune.learning_rate": 1e-9})
    assert code == 2
    assert "learning_rate: finetune.learning_rate=0." in output


def test_pictures_of_a_finished_run_are_drawn(tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, output = invoke("run", write_tiny(tmp_path), "--run", run)
    assert code == 0, output
    result = CliRunner().invoke(app, ["pictures", str(run)])
    assert result.exit_code == 0, result.output
    assert colours(run / "pictures" / "filters.png") > 30
    assert colours(run / "pictures" / "activations-3.png") > 30


def test_augmentation_steps_are_drawn_on_the_users_images_with_a_warning_about_flips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["augment", str(write_spec(tmp_path)), "--set", FLIP])
    assert result.exit_code == 0, result.output
    assert "warning: horizontal_flip mirrors" in result.output
    with Image.open("runs/digits/augment.png") as sheet:
        width, height = sheet.size
        pixels = np.asarray(sheet.convert("RGB"))
    assert width == LABEL_PX + GAP_PX + (1 + DRAWS) * (TILE_PX + GAP_PX)
    rows = height // (TILE_PX + GAP_PX)
    assert rows == 9  # two steps and all together, on three images
    top, start = height - rows * (TILE_PX + GAP_PX), LABEL_PX + GAP_PX
    original, first = (
        pixels[top : top + TILE_PX, left : left + TILE_PX] for left in (start, start + TILE_PX + GAP_PX)
    )
    assert (first == original[:, ::-1]).all()
    assert not (first == original).all()


def test_without_steps_in_the_spec_the_default_ones_are_drawn(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    spec.write_text(spec.read_text().replace("augment: []\n", ""))
    result = CliRunner().invoke(app, ["augment", str(spec), "--out", str(tmp_path / "sheet.png")])
    assert result.exit_code == 0, result.output
    assert "the spec names no augmentation" in result.output
    assert "sheet.png: 2 steps on" in result.output.replace("\n", "")
    assert (tmp_path / "sheet.png").exists()
