"""A whole run: what it leaves behind, and that one broken off at any moment ends in the same numbers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from small_kit import broken_off

from finetune.api import run
from finetune.finished import RunReport, load_run, show_run
from finetune.records.metrics_log import EpochRecord, read_records
from zoo.errors import GraftError

SPEC = "specs/lenet5.yaml"
# A tenth of the digits to train on, in float32, so that an epoch is a second on a busy machine.
QUICK: dict[str, object] = {
    "data.val": 0.3,
    "data.test": 0.6,
    "finetune.batch_size": 16,
    "finetune.epochs": 3,
    "finetune.precision": "float32",
    "export.parity_images": 20,
}
CONTRACT = {
    "spec.yaml",
    "plan.json",
    "metrics.jsonl",
    "checkpoint",
    "model.safetensors",
    "model.onnx",
    "report.json",
}


def numbers(report: RunReport) -> list[EpochRecord]:
    return read_records(report.folder / "metrics.jsonl")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    torch.manual_seed(7)  # whatever was drawn before a run has no say in it
    return run(SPEC, set=QUICK, run=tmp_path_factory.mktemp("unbroken") / "run", console=Console(quiet=True))


def test_a_run_leaves_every_file_of_the_contract(unbroken: RunReport) -> None:
    assert {path.name for path in unbroken.folder.iterdir()} >= CONTRACT
    assert unbroken.plan.strategy == "scratch"
    assert unbroken.onnx.stat().st_size > 0
    assert 0.5 < float(str(unbroken.metrics["accuracy"])) <= 1
    assert unbroken.report.exports["onnx"].numbers["top1_differences"] == 0


@pytest.mark.usefixtures("unexported")
def test_the_resolved_spec_gives_the_same_run_again(unbroken: RunReport, tmp_path: Path) -> None:
    again = run(unbroken.folder / "spec.yaml", run=tmp_path / "again", console=Console(quiet=True))
    assert numbers(again) == numbers(unbroken)
    assert again.metrics == unbroken.metrics


@pytest.mark.usefixtures("unexported")
def test_killed_in_the_second_epoch_and_resumed(unbroken: RunReport, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    pairs = [argument for key, value in QUICK.items() for argument in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "finetune", "run", SPEC, "--run", str(folder), *pairs]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 200
    while len(read_records(folder / "metrics.jsonl")) < 1:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < deadline, "the first epoch never ended"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (folder / "report.json").exists()
    assert len(read_records(folder / "metrics.jsonl")) < 3
    resumed = run(SPEC, set=QUICK, run=folder, console=Console(quiet=True))
    assert numbers(resumed) == numbers(unbroken)
    assert resumed.metrics == unbroken.metrics


@pytest.mark.usefixtures("unexported")
def test_broken_off_in_the_middle_of_an_epoch_and_resumed(unbroken: RunReport, tmp_path: Path) -> None:
    with broken_off(lambda _, name: name == "step-000015"):  # 11 steps an epoch: the middle of the second
        run(SPEC, set=QUICK, run=tmp_path / "run", console=Console(quiet=True))
    resumed = run(SPEC, set=QUICK, run=tmp_path / "run", console=Console(quiet=True))
    assert numbers(resumed) == numbers(unbroken)
    assert resumed.metrics == unbroken.metrics


@pytest.mark.usefixtures("unexported")
def test_worker_processes_change_no_number(unbroken: RunReport, tmp_path: Path) -> None:
    workers = run(SPEC, set=QUICK | {"data.workers": 1}, run=tmp_path / "run", console=Console(quiet=True))
    assert numbers(workers) == numbers(unbroken)


def test_a_finished_run_is_left_alone(unbroken: RunReport) -> None:
    before = unbroken.onnx.stat().st_mtime_ns
    again = run(SPEC, set=QUICK, run=unbroken.folder, console=Console(quiet=True))
    assert again.metrics == unbroken.metrics
    assert unbroken.onnx.stat().st_mtime_ns == before


def test_a_run_of_another_recipe_is_refused(unbroken: RunReport) -> None:
    with pytest.raises(GraftError, match=r"started with other settings: before: epochs: 3, now: epochs: 4"):
        run(SPEC, set=QUICK | {"finetune.epochs": 4}, run=unbroken.folder, console=Console(quiet=True))


def test_a_finished_run_can_be_exported_again(unbroken: RunReport) -> None:
    finished = load_run(unbroken.folder)
    assert finished.labels == tuple("0123456789")
    images = torch.from_numpy(finished.val.images[0].read())[None]
    with torch.inference_mode():
        assert finished.net(finished.preprocess(images)).shape == (1, 10)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="no run here"):
        load_run(tmp_path)


def test_each_file_of_a_run_is_missed_when_it_is_damaged(unbroken: RunReport, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(unbroken.folder, folder)
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines() if line]
    paths = {folder / line["path"] for line in lines} - {folder / "report.html"}  # people may edit the page
    whole = {path: path.read_bytes() for path in paths if path.exists()}
    assert {path.name for path in whole} >= {"spec.yaml", "splits.json", "latest", "state.json", "model.onnx"}
    for path, content in whole.items():
        middle = len(content) // 2
        for damaged in (
            content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            content[:-1],
        ):
            path.write_bytes(damaged)
            for read in (show_run, load_run):
                with pytest.raises(GraftError, match=re.escape(f"{path}: ")):
                    read(folder)
            path.write_bytes(content)
    show_run(folder, console=Console(quiet=True))


def test_metrics_are_json(unbroken: RunReport) -> None:
    report = json.loads((unbroken.folder / "report.json").read_text())
    assert report["images"]["test"] == sum(sum(row) for row in report["confusion"])
