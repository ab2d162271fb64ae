"""Checks before a run and on request: what is said and written, and that training stays the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console
from subject_kit import QUICK, make_subject, write_tiny
from typer.testing import CliRunner

from finetune.__main__ import app
from finetune.checks.registry import CHECKS
from finetune.engine.loop import build_loop
from finetune.engine.trainer import train
from finetune.records.metrics_log import read_lines
from finetune.records.run_folder import RunFolder
from zoo.errors import GraftError

pytestmark = pytest.mark.usefixtures("seeded")
TIMES = ("images_per_s",)


def run_tiny(folder: Path, given: Mapping[str, object]) -> tuple[list[dict[str, object]], str]:
    """The lines of the log, and what was said."""
    said = StringIO()
    subject = make_subject(folder, {"finetune.trackers": [], **given})
    console = Console(file=said, width=200, highlight=False)
    train(build_loop(subject.setup, subject.plan, RunFolder(folder), console))
    lines = read_lines(folder / "metrics.jsonl")
    return [
        {key: value for key, value in line.items() if key not in TIMES} for line in lines
    ], said.getvalue()


@pytest.mark.parametrize("wanted", ["brief", "full"])
def test_a_checked_run_has_the_numbers_of_one_that_is_not(tmp_path: Path, wanted: str) -> None:
    (tmp_path / "without").mkdir()
    plain, silent = run_tiny(tmp_path / "without", {"finetune.checks": "none"})
    checked, said = run_tiny(tmp_path, {"finetune.checks": wanted})
    assert checked == plain
    count = len([check for check in CHECKS.values() if check.brief or wanted == "full"])
    assert f"sanity checks: {count} of {count} passed" in said
    assert "sanity checks" not in silent
    assert not (tmp_path / "without" / "checks.json").exists()


def test_batch_norms_start_a_checked_run_as_they_were(tmp_path: Path) -> None:
    given = {"choices.norm": "batch_norm", "layers.act1": "norm", "finetune.epochs": 1}
    (tmp_path / "without").mkdir()
    plain, _ = run_tiny(tmp_path / "without", {**given, "finetune.checks": "none"})
    assert run_tiny(tmp_path, given)[0] == plain


def test_a_run_with_a_fault_says_so_and_goes_on(tmp_path: Path) -> None:
    lines, said = run_tiny(tmp_path, {"input.mean": [0.0], "input.std": [1.0]})
    assert len(lines) == 2
    assert "warning: sanity check inputs: found means to 0.3" in said
    assert "leave input.mean and input.std out of the spec" in said
    written = json.loads((tmp_path / "checks.json").read_text())["checks"]
    assert {check["name"]: check["status"] for check in written}["inputs"] == "failed"


def test_a_run_that_blows_up_stops_and_proposes_a_rate_that_trains(tmp_path: Path) -> None:
    with pytest.raises(GraftError) as error:
        run_tiny(tmp_path, {"finetune.learning_rate": 1e6})
    first, second = str(error.value).splitlines()
    assert "training broke down in epoch 1, step " in first
    assert "over three times its start" in first
    assert "the rate was 1e+06; try finetune.learning_rate=" in second
    rate = float(second.partition("learning_rate=")[2].partition(",")[0])
    (tmp_path / "again").mkdir()
    lines, _ = run_tiny(tmp_path / "again", {"finetune.learning_rate": rate})
    assert float(str(lines[-1]["val_accuracy"])) > 0.6


def test_the_command_shows_a_table_and_fails_with_code_2(tmp_path: Path) -> None:
    spec, plot = write_tiny(tmp_path), tmp_path / "rates.png"
    quick = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]
    quick += ["--set", "data.val=0.3", "--set", "data.test=0.4", "--plot", str(plot)]
    sound = CliRunner().invoke(app, ["check", str(spec), *quick])
    assert sound.exit_code == 0, sound.output
    assert sound.output.count("passed") == 2 * len(CHECKS)  # as they come, and in the table
    with Image.open(plot) as picture:
        assert len(picture.convert("RGB").getcolors(maxcolors=1 << 20) or []) > 50
    faulty = CliRunner().invoke(app, ["check", str(spec), *quick, "--set", "finetune.learning_rate=1e-9"])
    assert faulty.exit_code == 2
    assert "learning_rate: finetune.learning_rate=0." in faulty.output


def test_torch_draws_on_as_if_nothing_was_checked(tmp_path: Path) -> None:
    torch.manual_seed(5)
    run_tiny(tmp_path, {"finetune.epochs": 1})
    first = torch.rand(3)
    torch.manual_seed(5)
    (tmp_path / "b").mkdir()
    run_tiny(tmp_path / "b", {"finetune.epochs": 1, "finetune.checks": "none"})
    assert torch.equal(torch.rand(3), first)
