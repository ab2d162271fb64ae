"""Names and images of classes: what is refused, in which words, and what is written."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from graft.teach.lesson import LessonError, check_classes, new_folder, write_lesson, zip_data

THREE = [Path(f"{number}.jpg") for number in range(3)]


def refuse(*rows: tuple[str, list[Path]]) -> str:
    """The message about these classes."""
    with pytest.raises(LessonError) as error:
        check_classes(rows)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Class 1 has images and no name. Give it a name."),
        ("../cup", "The name ../cup contains /. Use letters, digits, spaces and dashes."),
        ("c:cup", "The name c:cup contains :. Use letters, digits, spaces and dashes."),
        ("<b>", "The name <b> contains <. Use letters, digits, spaces and dashes."),
        ("a\x1bb", "The name a\N{REPLACEMENT CHARACTER}b contains a character that cannot be seen. "),
        (".cup", "The name .cup starts or ends with a dot. Use another name."),
        ("..", "The name .. starts or ends with a dot. Use another name."),
        ("NUL", "NUL means something else as the name of a folder. Use another name, such as my NUL."),
        ("Test", "Test means something else as the name of a folder. Use another name, such as my Test."),
        ("x" * 61, "xxxxxxxxxxxxxxxxxxxx… is too long for a name. Use 60 characters or fewer."),
    ],
)
def test_names_that_are_no_names_of_folders(name: str, message: str) -> None:
    assert refuse((name, THREE), ("spoon", THREE)).startswith(message)


def test_everything_wrong_is_said_at_once() -> None:
    assert refuse(("cup", THREE[:1]), ("Cup", THREE), ("spoon", []), ("", [])).splitlines() == [
        "cup has 1 image. Add images until it has 3 or more.",
        "Two classes are called Cup. Give each its own name.",
        "spoon has no image. Add images until it has 3 or more.",
    ]
    assert refuse(("cup", THREE), ("", [])) == "Name 2 classes or more, and give each 3 images or more."


def test_a_lesson_is_the_folder_that_finetune_takes(tmp_path: Path) -> None:
    names = ("IMG 1.JPG", "scan.tif", "notes.txt")
    files = [tmp_path / name for name in names]
    for number, file in enumerate(files):
        file.write_bytes(b"image %d" % number)
    classes = check_classes([(" Grüne Tasse ", files), ("", []), ("spoon", files)])
    lesson = write_lesson(new_folder(tmp_path / "runs"), classes)
    written = sorted(lesson.data.rglob("*.*"))
    assert [path.relative_to(lesson.data).as_posix() for path in written] == [
        *("Grüne Tasse/001.jpg", "Grüne Tasse/002.tif", "Grüne Tasse/003.jpg"),
        *("spoon/001.jpg", "spoon/002.tif", "spoon/003.jpg"),
    ]
    assert [path.read_bytes() for path in written] == [file.read_bytes() for file in (*files, *files)]
    assert lesson.given["spoon/003.jpg"] == "notes.txt"
    assert new_folder(tmp_path / "runs") != lesson.folder
    with zipfile.ZipFile(zip_data(lesson, tmp_path / "images.zip")) as file:
        assert file.namelist() == [path.relative_to(lesson.data).as_posix() for path in written]
