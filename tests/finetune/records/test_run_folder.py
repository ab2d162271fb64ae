"""Run folders: names, whole files, finding the run to resume."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from finetune.records.metrics_log import EpochRecord, append_record, cut_log, read_records
from finetune.records.run_folder import (
    RunFolder,
    new_folder,
    read_weights,
    unfinished,
    write_json,
    write_text,
    write_weights,
)
from zoo.errors import GraftError


def test_two_runs_in_one_second_get_two_folders(tmp_path: Path) -> None:
    first, second = new_folder(tmp_path, "net"), new_folder(tmp_path, "net")
    assert first.path != second.path
    assert first.path.is_dir()
    assert second.path.is_dir()


def test_the_newest_unfinished_run_is_resumed(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="no unfinished run to resume"):
        unfinished(tmp_path, "net")
    for name, ended in (("1", False), ("2", False), ("3", True)):
        run = RunFolder(tmp_path / "net" / name)
        write_text(run.recipe, "name: net\n")
        if ended:
            write_json(run.report, {})
    assert unfinished(tmp_path, "net").path.name == "2"


def test_weights_come_back_as_they_were_written(tmp_path: Path) -> None:
    net, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    net(torch.randn(8, 3))
    write_weights(tmp_path / "w.safetensors", net)
    read_weights(tmp_path / "w.safetensors", other)
    pairs = zip(net.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_the_log_drops_epochs_that_run_again_and_a_line_cut_short(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    records = [EpochRecord(epoch, 9 * epoch, math.inf, 0.1, 50.0, val_score=1 / 3) for epoch in (1, 2, 3)]
    for record in records:
        append_record(log, record)
    log.write_text(log.read_text() + '{"epoch": 4, "tra')
    cut_log(log, 2)
    assert read_records(log) == records[:2]
