"""Folders that are odd: names, rights, and one image in many copies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from folder_kit import load, photos, save_images

from finetune.data import DataError


def test_a_name_may_be_another_and_a_number(tmp_path: Path) -> None:
    names = load(photos(tmp_path, {"cat2": 4, "cat10": 4, "cat": 4, "cat2b": 4})).classes
    assert names == ("cat", "cat2", "cat2b", "cat10")


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    photos(tmp_path, {"a": 4, "b": 4})
    (tmp_path / "b").rename(os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))
    with pytest.raises(DataError, match=r"class folder 'caf\\udce9' is not UTF-8.*rename it"):
        load(tmp_path)


def test_a_class_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(tmp_path, {"a": 4, "b": 4, "c": 4})
    scan = os.scandir

    def guarded(path: str) -> object:  # root, as whom tests may run, would read anything
        if Path(path) == tmp_path / "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError, match="b: cannot be read: Permission denied"):
        load(tmp_path)


def test_an_image_in_many_copies_stays_in_train(tmp_path: Path) -> None:
    save_images(tmp_path / "b", 45)
    save_images(tmp_path / "a", 5)
    for i in range(40):
        shutil.copy(tmp_path / "a" / "0.png", tmp_path / "a" / f"copy{i}.png")
    for seed in range(5):
        splits = load(tmp_path, seed)
        assert splits.train.counts(2)[0] >= 41
        assert splits.val.counts(2)[0] >= 1 and splits.test.counts(2)[0] >= 1
