"""Images that are left out by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from folder_kit import keys, load, photos

from finetune.data import DataError


def names(root: Path, **settings: object) -> set[str]:
    return {key for part in keys(load(root, **settings)).values() for key in part}


def test_paths_in_a_file_are_left_out(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", {"a": 8, "b": 8})
    listed = tmp_path / "out.txt"
    listed.write_text(f"a/1.png\n\n{root}/b/2.png\nb/gone.png\n")
    splits = load(root, exclude=str(listed))
    assert names(root) - names(root, exclude=str(listed)) == {"a/1.png", "b/2.png"}
    assert splits.warnings == (
        f"{root}: images that data.exclude leaves out: 2",
        f"{listed} (data.exclude): names that are no image of {root}: 1, such as b/gone.png",
    )


def test_a_table_marks_what_is_left_out(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", {"a": 8, "b": 8})
    table = tmp_path / "health.csv"
    table.write_text("exclude,kind,image\nyes,copy,a/1.png\n,label,a/2.png\n")
    assert names(root) - names(root, exclude=str(table)) == {"a/1.png"}
    table.write_text("image\na/1.png\na/2.png\n")
    assert names(root) - names(root, exclude=str(table)) == {"a/1.png", "a/2.png"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("out.txt", None, r"out\.txt \(data\.exclude\): cannot be read as text: .*No such file"),
        (
            "out.txt",
            "x.png\n",
            r"none of its 1 names is an image of .*photos, such as x\.png; expected paths",
        ),
        (
            "out.csv",
            "file\na/1.png\n",
            r"no column 'image'; its columns: file; expected the findings of graft",
        ),
        ("out.txt", "".join(f"a/{i}.png\n" for i in range(8)), "train has no image of a"),
    ],
)
def test_wrong_files_to_exclude(name: str, content: str | None, message: str, tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", {"a": 8, "b": 8})
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        load(root, exclude=str(tmp_path / name))
