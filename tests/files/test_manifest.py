"""What a manifest finds: each flip, cut and loss, and nothing where a process was killed while it wrote."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from files import DamagedFileError, Manifest, remove, remove_temporaries, replacing


def write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three files, of which one was written twice."""
    Manifest(tmp_path).start()
    for name, text in (("a.txt", "one"), ("b/c.txt", "two"), ("a.txt", "three"), ("d.txt", "four")):
        write(tmp_path / name, text)
    return tmp_path


def damaged(folder: Path) -> list[str]:
    return [str(error).removeprefix(f"{folder}/") for error in Manifest(folder).damaged()]


def test_what_was_written_is_whole_and_leaves_nothing_else(folder: Path) -> None:
    assert damaged(folder) == []
    assert {path.name for path in folder.iterdir()} == {"a.txt", "b", "d.txt", "manifest.jsonl"}


def test_flips_cuts_and_losses_are_named(folder: Path) -> None:
    (folder / "a.txt").write_text("thrfe")
    (folder / "b" / "c.txt").write_text("")
    (folder / "d.txt").unlink()
    assert damaged(folder) == [
        "a.txt: its content is not what was written: its SHA-256 differs from manifest.jsonl",
        "b/c.txt: has 0 bytes, and 3 were written",
        "d.txt: missing",
    ]


def test_every_file_but_the_last_has_to_be_its_last_version(folder: Path) -> None:
    (folder / "a.txt").write_text("one")
    assert len(damaged(folder)) == 1
    write(folder / "a.txt", "five")
    (folder / "a.txt").write_text("three")
    assert len(damaged(folder)) == 1
    path = folder / "manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-1])  # killed before it was replaced
    assert damaged(folder) == []
    Manifest(folder).compact()
    assert damaged(folder) == []
    (folder / "a.txt").write_text("five")
    assert len(damaged(folder)) == 1


def test_a_kill_at_any_byte_of_the_manifest_damages_nothing_but_what_came_after(folder: Path) -> None:
    whole = (folder / "manifest.jsonl").read_bytes()
    start = whole.rindex(b"\n\n", 0, -2) + 2
    for size in range(start, len(whole)):  # the line of d.txt, which was not there yet
        (folder / "manifest.jsonl").write_bytes(whole[:size])
        (folder / "d.txt").unlink(missing_ok=True)
        assert damaged(folder) == []
        Manifest(folder).compact()
        write(folder / "d.txt", "four")
        assert damaged(folder) == []


def test_to_compact_makes_no_damaged_file_right(folder: Path) -> None:
    (folder / "a.txt").write_text("thrfe")
    (folder / "d.txt").unlink()
    before = damaged(folder)
    Manifest(folder).compact()
    assert damaged(folder) == before
    assert len(before) == 2


def test_a_damaged_line_and_a_lost_manifest_are_told(folder: Path) -> None:
    path = folder / "manifest.jsonl"
    lines = path.read_text().split("\n\n")
    for bad in ("{}\n", "[]\n", "\xff\n", '{"path": "../x", "bytes": 1, "sha256": "0"}\n', '{"path": 1}\n'):
        path.write_text("\n".join([lines[0], bad, *lines[1:]]))
        with pytest.raises(DamagedFileError, match="line 2 is damaged"):
            damaged(folder)
    path.unlink()
    with pytest.raises(DamagedFileError, match=r"manifest.jsonl: missing"):
        damaged(folder)


def test_a_file_without_a_line_is_refused(folder: Path) -> None:
    (folder / "new.txt").write_text("new")
    with pytest.raises(DamagedFileError, match=r"new.txt: not in manifest.jsonl"):
        Manifest(folder).check(folder / "new.txt")
    assert damaged(folder) == []


def test_what_is_removed_is_not_missed(folder: Path) -> None:
    remove(folder / "b")
    remove(folder / "a.txt")
    remove(folder / "never")
    assert damaged(folder) == []
    assert not (folder / "b").exists()


def test_an_error_while_writing_leaves_the_old_file_and_a_kill_leaves_a_temporary_one(folder: Path) -> None:
    with pytest.raises(RuntimeError), replacing(folder / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (folder / "a.txt").read_text() == "three"
    (folder / "b" / ".c.txt.4711").write_text("half")
    remove_temporaries(folder)
    assert [path.name for path in (folder / "b").iterdir()] == ["c.txt"]
    assert damaged(folder) == []


def test_all_files_have_the_same_mode(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        for name in ("note.txt", "model.safetensors"):
            with replacing(tmp_path / name) as temporary:
                temporary.unlink()  # as safetensors does, which then lets only the owner read
                os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640
    finally:
        os.umask(before)
