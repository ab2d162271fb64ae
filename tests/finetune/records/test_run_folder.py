"""Run folders: names, whole files, finding the run to resume."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from finetune.records.files import read_weights, write_json, write_text, write_weights
from finetune.records.metrics_log import EpochRecord, append_record, cut_log, read_records
from finetune.records.run_folder import RunFolder, describe_changes, find_unfinished, lock_folder, new_folder
from zoo.errors import GraftError


def test_two_runs_in_one_second_get_two_folders(tmp_path: Path) -> None:
    first, second = (new_folder(tmp_path, "net", "my photos/2026: ü") for _ in range(2))
    assert first.path != second.path
    assert first.path.name.startswith("my-photos-2026-ü-")
    assert first.path.is_dir()
    assert second.path.is_dir()


def test_the_newest_unfinished_run_is_resumed(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="no unfinished run to resume"):
        find_unfinished(tmp_path, "net")
    for name, ended in (("1", False), ("2", False), ("3", True)):
        run = RunFolder(tmp_path / "net" / name)
        write_text(run.recipe, "name: net\n")
        if ended:
            write_json(run.report, {})
    assert find_unfinished(tmp_path, "net").path.name == "2"


def test_weights_come_back_as_they_were_written(tmp_path: Path) -> None:
    net, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    net(torch.randn(8, 3))
    write_weights(tmp_path / "w.safetensors", net)
    read_weights(tmp_path / "w.safetensors", other)
    pairs = zip(net.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_the_log_drops_epochs_that_run_again_and_refuses_what_is_no_record(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    records = [EpochRecord(epoch, 9 * epoch, math.inf, 0.1, 50.0, val_score=1 / 3) for epoch in (1, 2, 3)]
    for record in records:
        append_record(log, record)
    cut_log(log, 2)
    assert read_records(log) == records[:2]
    log.write_text(log.read_text() + "5\n")
    with pytest.raises(GraftError, match="not a log of epochs"):
        read_records(log)


def test_a_folder_that_another_process_holds_is_refused_and_a_killed_one_leaves_no_lock(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, time; from pathlib import Path; from finetune.records.run_folder import *\n"
        "with lock_folder(RunFolder(Path(sys.argv[1]))): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(GraftError, match=f"process {other.pid} on .* is working in this folder"):
            lock_folder(RunFolder(tmp_path)).__enter__()
        other.kill()
    with lock_folder(RunFolder(tmp_path)):
        assert str(os.getpid()) in (tmp_path / ".holder").read_text()


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        ("a: 1\nb: 2", "a: 1\nb: 3", "before: b: 2, now: b: 3"),
        ("a: 1", "a: 1\nb: 3", "new is: b: 3"),
        ("a: 1\nb: 2", "a: 1", "missing is: b: 2"),
    ],
)
def test_changed_settings_are_named(before: str, now: str, message: str) -> None:
    assert describe_changes(before, now) == message
