"""Folders that are odd: names, rights, and one image in many copies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from folder_kit import keys, load, photos, save_images
from PIL import Image

from finetune.data import DataError

SYSTEM_NAMES = ["@eaDir", "$RECYCLE.BIN", "#recycle", "lost+found", "System Volume Information", "@Recycle"]
SYSTEM_NAMES += ["__MACOSX", ".ipynb_checkpoints", ".Trash-1000", "__pycache__", "found.000"]


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


@pytest.mark.parametrize("name", SYSTEM_NAMES)
def test_system_folders_are_left_out_everywhere_and_told(name: str, tmp_path: Path) -> None:
    photos(tmp_path, {"cat": 4, "dog": 4, f"{name}/x": 2, f"cat/{name}": 2})
    splits = load(tmp_path)
    assert splits.classes == ("cat", "dog")
    assert sum(map(len, keys(splits).values())) == 8
    [warning] = splits.warnings
    kind = "hidden" if name[0] == "." else "system"
    assert (
        f"2 {kind} folders, such as {name}" in warning or f"2 {kind} folders, such as cat/{name}" in warning
    )


def test_system_folders_beside_splits_are_no_class(tmp_path: Path) -> None:
    photos(tmp_path, {"train/a": 4, "train/b": 4, "valid/a": 1, "valid/b": 1, "@eaDir": 2})
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "notes.txt").write_text("of no class")
    (tmp_path / "README.md").write_text("photos")
    splits = load(tmp_path)
    assert splits.val.counts(2) == [1, 1]
    assert splits.warnings == (
        f"{tmp_path}: left out: 1 system folder, such as @eaDir; 1 folder without images, such as docs; "
        "1 .md file, such as README.md",
    )


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    photos(tmp_path, {"data/cat": 4, "data/dog": 4, "more": 5, "birds": 6})
    (tmp_path / "data" / "cat" / "more").symlink_to(tmp_path / "more")
    (tmp_path / "data" / "bird").symlink_to(tmp_path / "birds")
    save_images(tmp_path / "single", 1)
    (tmp_path / "data" / "dog" / "linked.png").symlink_to(tmp_path / "single" / "0.png")
    splits = load(tmp_path / "data")
    assert splits.classes == ("bird", "cat", "dog")
    parts = (splits.train, splits.val, splits.test)
    counts = [sum(found) for found in zip(*(part.counts(3) for part in parts), strict=True)]
    assert counts == [6, 9, 5]
    assert splits.warnings == ()
    assert "cat/more/0.png" in {key for names in keys(splits).values() for key in names}


def test_links_that_loop_are_left_out_and_told(tmp_path: Path) -> None:
    root = photos(tmp_path / "data", {"cat": 4, "dog/puppy": 4})
    (root / "all").symlink_to(root)
    (root / "cat" / "up").symlink_to(root.parent)
    (root / "cat" / "self").symlink_to("self")
    (root / "dog" / "puppy" / "again").symlink_to(root / "dog")
    (root / "dog" / "same").symlink_to(root / "dog" / "puppy")
    splits = load(root)
    assert splits.classes == ("cat", "dog")
    assert sum(map(len, keys(splits).values())) == 8
    [warning] = splits.warnings
    assert "3 links to a folder that they are in, such as all" in warning
    assert "1 link to a folder that is read already, such as dog/same" in warning
    assert "1 file without a suffix, such as cat/self" in warning


def test_broken_links_and_pipes_are_told(tmp_path: Path) -> None:
    root = photos(tmp_path, {"cat": 20, "dog": 20})
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    os.mkfifo(root / "dog" / "pipe.png")  # reading one would wait for ever
    splits = load(root)
    assert [(Path(b.path).name, b.reason) for b in splits.broken] == [
        ("gone.png", "cannot be read: No such file or directory")
    ]
    assert splits.warnings == (f"{root}: left out: 1 pipes, sockets or devices, such as dog/pipe.png",)


def test_empty_folders_are_told(tmp_path: Path) -> None:
    root = photos(tmp_path, {"cat": 4, "dog": 4})
    (root / "bird" / "red").mkdir(parents=True)
    (root / "cat" / "new").mkdir()
    [warning] = load(root).warnings
    assert warning == f"{root}: left out: 2 empty folders, such as bird"


@pytest.mark.parametrize("suffix", [".nef", ".jp2", ".xyz", ""])
def test_a_class_whose_files_are_not_read_is_an_error(suffix: str, tmp_path: Path) -> None:
    root = photos(tmp_path, {"cat": 4, "dog": 4})
    (root / "bird" / "deep").mkdir(parents=True)
    for i in range(3):
        (root / "bird" / "deep" / f"{i}{suffix}").write_bytes(b"unknown")
    with pytest.raises(DataError, match=rf"bird: no file of this class is read .*3 {suffix or 'no suffix'}"):
        load(root)


@pytest.mark.parametrize("suffix", [".heic", ".HEIF", ".hif", ".avif"])
def test_photos_of_phones_are_read(suffix: str, tmp_path: Path) -> None:
    root = photos(tmp_path, {"cat": 4, "dog": 4})
    pixels = Image.new("RGB", (24, 16), (10, 200, 30))
    for i in range(3):
        pixels.putpixel((i, 0), (255, 255, 255))
        pixels.save(root / "cat" / f"phone{i}{suffix}", format="AVIF" if suffix == ".avif" else "HEIF")
    splits = load(root)
    read = [
        image.read()
        for part in (splits.train, splits.val, splits.test)
        for image in part.images
        if "phone" in image.key
    ]
    assert splits.broken == () and splits.warnings == ()
    assert len(read) == 3 and all(pixels.shape == (16, 24, 3) for pixels in read)


@pytest.mark.parametrize("name", ["val", "VALID", "Validation", "dev", "Val"])
def test_splits_have_their_usual_names(name: str, tmp_path: Path) -> None:
    photos(
        tmp_path, {"Train/a": 4, "Train/b": 4, f"{name}/a": 2, f"{name}/b": 2, "TESTING/a": 1, "TESTING/b": 1}
    )
    splits = load(tmp_path)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (8, 4, 2)


@pytest.mark.parametrize(("top", "bits"), [(4095, 12), (1023, 10), (16383, 14), (65535, None)])
def test_few_bits_in_16_are_told(top: int, bits: int | None, tmp_path: Path) -> None:
    root, rng = photos(tmp_path, {"cat": 4}), np.random.default_rng(0)
    for i, suffix in enumerate([".png", ".tif"] * 2):
        (root / "dog").mkdir(exist_ok=True)
        values = rng.integers(top // 2, top, (5, 5), np.uint16)
        values[0, i] = top
        Image.fromarray(values).save(root / "dog" / f"{i}{suffix}")
    warnings = load(root).warnings
    if bits is None:
        assert warnings == ()
    else:
        assert f"{bits}-bit cameras store them: 4, such as {root / 'dog' / '0.png'}" in warnings[0]
        assert f"Multiply their values by {2 ** (16 - bits)}" in warnings[0]
