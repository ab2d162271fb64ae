"""The cores that a process may use: by its affinity, and by the quota of its control groups."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pixels import cores, usable_cores


@pytest.mark.skipif(shutil.which("taskset") is None, reason="taskset is not installed")
def test_affinity_limits_every_count() -> None:
    script = (
        "import torch, pixels, serve.model, finetune.runtime.threads as threads;"
        "threads.limit_threads();"
        "pool = threads.one_core_each().__enter__();"
        "print(pixels.usable_cores(), serve.model.session_options().intra_op_num_threads,"
        " torch.get_num_threads(), pool._max_workers)"
    )
    core = str(min(os.sched_getaffinity(0)))
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    command = ["taskset", "-c", core, sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["1"] * 4


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cores, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(cores, "OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return tmp_path


@pytest.mark.parametrize(("limit", "count"), [("150000 100000", 2), ("20000 100000", 1), ("max 100000", 8)])
@pytest.mark.parametrize("folder", ["", "outer", "outer/inner"])  # of the process, or around it
def test_quota_of_version_2(groups: Path, folder: str, limit: str, count: int) -> None:
    (groups / "own").write_text("0::/outer/inner\n")
    (groups / "groups/outer/inner").mkdir(parents=True)
    (groups / "groups" / folder / "cpu.max").write_text(f"{limit}\n")
    assert usable_cores() == count


@pytest.mark.parametrize(("quota", "count"), [("300000", 3), ("-1", 8)])
def test_quota_of_version_1(groups: Path, quota: str, count: int) -> None:
    (groups / "own").write_text("4:memory:/a\n3:cpu,cpuacct:/not/mounted/here\n0::/\n")
    (groups / "groups/cpu").mkdir(parents=True)
    (groups / "groups/cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
    (groups / "groups/cpu/cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores() == count


def test_no_control_groups(groups: Path) -> None:
    assert usable_cores() == 8


def test_torch_follows_the_quota() -> None:
    script = (
        "import finetune.runtime.threads as threads, torch, numpy, threadpoolctl;"
        "threads.usable_cores = lambda: 1;"
        "torch.set_num_threads(2); threads.limit_threads();"
        "print(torch.get_num_threads(), max(pool['num_threads'] for pool in threadpoolctl.threadpool_info()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1"]
