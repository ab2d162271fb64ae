"""Files that cannot be written: one line with the file, the reason and the disk; nothing is lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from torch import nn

from finetune.records import disk
from finetune.records.disk import (
    WriteError,
    explain_write_errors,
    format_bytes,
    require_space,
    require_writable,
)
from finetune.records.files import write_text, write_weights


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 704 vs 598"),
    ],
)
def test_a_full_disk_is_named_whatever_the_library_says(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: Usage(10, 10, 0))
    with (
        pytest.raises(
            WriteError, match=r"^.*w: cannot be written: the disk is full: 0 bytes are free on /.*$"
        ),
        explain_write_errors(tmp_path / "w"),
    ):
        raise error


def test_other_errors_of_torch_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), explain_write_errors(tmp_path):
        raise RuntimeError("shapes do not match")


@pytest.mark.parametrize("write", [write_text, write_weights])
def test_the_old_file_stays_when_the_new_one_cannot_be_written(
    write: Callable[[Path, object], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(WriteError, match="the disk is read-only"):
        write(path, nn.Linear(1, 1) if write is write_weights else "new")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_a_folder_below_a_file_and_too_little_space_are_told_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(WriteError, match="runs/net: cannot be written: Not a directory"):
        require_writable(tmp_path / "runs" / "net")
    with pytest.raises(WriteError, match=r"a run needs about 1000\.0 TB, and .* are free on /"):
        require_space(tmp_path / "not yet", 10**15, "a run")
    require_space(tmp_path, 1, "a run")


def test_bytes_are_given_in_the_largest_unit_that_fits() -> None:
    assert [format_bytes(count) for count in (999, 1500, 2_000_000)] == ["999 bytes", "1.5 kB", "2.0 MB"]
