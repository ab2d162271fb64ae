"""Checks before a run, and a run that diverges: what is printed and written; training stays the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from subject_kit import run_tiny

from finetune.checks.run import CHECKS
from zoo.errors import GraftError

pytestmark = pytest.mark.usefixtures("seeded")
NORMS = {"choices.norm": "batch_norm", "layers.act1": "norm", "finetune.epochs": 1}


def test_a_checked_run_has_the_numbers_of_one_that_is_not(tmp_path: Path) -> None:
    plain, silent = run_tiny(tmp_path / "plain", NORMS)
    drawn = torch.rand(3)
    assert "sanity checks" not in silent
    assert not (tmp_path / "plain" / "checks.json").exists()
    for choice in ("brief", "full"):
        torch.manual_seed(0)
        records, text = run_tiny(tmp_path / choice, {**NORMS, "finetune.checks": choice})
        assert records == plain
        assert torch.equal(torch.rand(3), drawn)
        count = len([check for check in CHECKS.values() if check.brief or choice == "full"])
        assert f"sanity checks: {count} of {count} passed" in text


def test_a_run_with_a_fault_warns_and_goes_on(tmp_path: Path) -> None:
    faulty = {"input.mean": [0.0], "input.std": [1.0], "finetune.checks": "brief", "finetune.epochs": 1}
    records, text = run_tiny(tmp_path, faulty)
    assert len(records) == 1
    assert "the check inputs before training failed: found means to 0.3" in text
    assert "leave input.mean and input.std out of the spec" in text
    written = json.loads((tmp_path / "checks.json").read_text())["checks"]
    assert {check["name"]: check["status"] for check in written}["inputs"] == "failed"


def test_a_run_that_diverges_stops_and_proposes_a_rate_that_trains(tmp_path: Path) -> None:
    with pytest.raises(GraftError) as error:
        run_tiny(tmp_path / "fast", {"finetune.learning_rate": 1e6})
    first, second = str(error.value).splitlines()
    assert "training diverged in epoch 1, step " in first
    assert "over three times its start" in first
    assert "the learning rate was 1e+06; try finetune.learning_rate=" in second
    rate = float(second.partition("learning_rate=")[2].partition(",")[0])
    records, _ = run_tiny(tmp_path / "again", {"finetune.learning_rate": rate, "finetune.epochs": 4})
    assert (records[-1].val_score or 0.0) > 0.6
