"""A run folder with a damaged file: the file is named with the way out, or the state before is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.records.files import write_text
from finetune.records.run_folder import RunFolder
from finetune.records.verify import claim_folder, open_run
from zoo.errors import GraftError

STATES = ("epoch-0001", "epoch-0002")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 64
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


DAMAGES: tuple[Callable[[Path], None], ...] = (flip, cut, Path.unlink)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run with two states of its training, as a kill between saving and removing leaves it."""
    run = RunFolder(tmp_path / "run")
    assert claim_folder(run) == []
    for path in (run.recipe, run.spec, run.splits, run.plan, run.log, run.weights, run.trained):
        write_text(path, f"content of {path.name}")
    for state in STATES:
        for name in ("tensors.safetensors", "state.json"):
            write_text(run.checkpoint / state / name, f"content of {state}")
        write_text(run.checkpoint / "latest", state)
    write_text(run.report, "content of the report")
    write_text(run.onnx, "content of the model")
    assert claim_folder(run) == []
    return run


def test_a_whole_run_is_opened(folder: RunFolder) -> None:
    assert open_run(folder.path) == folder


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damaged_file_is_named(folder: RunFolder, damage: Callable[[Path], None]) -> None:
    for path in (folder.recipe, folder.plan, folder.log, folder.weights, folder.trained, folder.report):
        before = path.read_bytes()
        damage(path)
        for read in (open_run, lambda path: claim_folder(RunFolder(path))):
            if not folder.report.exists() and read is not open_run:
                continue  # it is made again
            with pytest.raises(GraftError) as raised:
                read(folder.path)
            assert str(raised.value).startswith(f"{path}: ")
            assert str(raised.value).endswith("train again with another --run")
        path.write_bytes(before)
    damage(folder.onnx)
    with pytest.raises(GraftError, match=r"`graft export .*` writes it again"):
        open_run(folder.path)
    assert open_run(folder.path, but=(folder.onnx.name,)) == folder


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["latest", "epoch-0002/state.json", "epoch-0002/tensors.safetensors"])
def test_the_state_before_a_damaged_one_is_used_and_that_is_said(
    folder: RunFolder, damage: Callable[[Path], None], name: str
) -> None:
    damage(folder.checkpoint / name)
    [message] = claim_folder(folder)
    state = "epoch-0002" if name == "latest" else "epoch-0001"
    assert message.startswith(f"{folder.checkpoint / name}: ")
    assert message.endswith(f"training continues from {state}")
    assert (folder.checkpoint / "latest").read_text() == state
    assert claim_folder(folder) == []


def test_without_a_whole_state_the_way_out_is_to_begin_again(folder: RunFolder) -> None:
    for state in STATES:
        flip(folder.checkpoint / state / "state.json")
    with pytest.raises(GraftError, match=r"\(1 more are damaged\)\n.*without the folder .*checkpoint this"):
        claim_folder(folder)
    for path in sorted(folder.checkpoint.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.checkpoint.rmdir()
    assert claim_folder(folder) == []
    assert open_run(folder.path) == folder


def test_a_lost_or_damaged_manifest_is_told(folder: RunFolder, tmp_path: Path) -> None:
    folder.manifest.path.write_text("{}\n")
    for read in (open_run, lambda path: claim_folder(RunFolder(path))):
        with pytest.raises(GraftError, match=r"manifest.jsonl: line 1 is damaged"):
            read(folder.path)
    folder.manifest.path.unlink()
    for read in (open_run, lambda path: claim_folder(RunFolder(path))):
        with pytest.raises(GraftError, match=r"manifest.jsonl: missing"):
            read(folder.path)
    with pytest.raises(GraftError, match="no run here"):
        open_run(tmp_path)


def test_a_lost_report_is_made_again_and_a_lost_model_too(folder: RunFolder) -> None:
    folder.onnx.unlink()
    with pytest.raises(GraftError, match="graft export"):  # the run is finished
        claim_folder(folder)
    folder.report.unlink()
    messages = claim_folder(folder)
    assert sorted(messages) == [f"{path}: missing; it is made again" for path in (folder.onnx, folder.report)]
    assert claim_folder(folder) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_page_for_people_may_be_changed_or_removed(
    folder: RunFolder, damage: Callable[[Path], None]
) -> None:
    write_text(folder.page, "content of the page")
    damage(folder.page)
    assert open_run(folder.path) == folder
    assert claim_folder(folder) == []


def test_what_a_killed_process_was_writing_is_removed(folder: RunFolder) -> None:
    left = folder.path / ".model.safetensors.4711"
    left.write_text("half")
    claim_folder(folder)
    assert not left.exists()
