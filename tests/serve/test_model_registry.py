"""Models by name and version; a file that is replaced under load is never seen by halves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hostile_kit import write_model

import serve.registry
from pixels.pool import Decoder
from serve.artifact import ArtifactError
from serve.metrics import Metrics
from serve.model_files import Signature
from serve.registry import LOADED, REFUSED, Registry, UnknownModelError
from serve.worker import Worker

IMAGES = np.zeros((1, 2, 2, 3), np.uint8)


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests try models in a process of their own, which takes a second each."""
    monkeypatch.setattr(serve.registry, "try_model", lambda _path: None)


def put(path: Path, label: str) -> Path:
    """Replace a model file as an exporter does, by one whose first label is given."""
    new = write_model(path.with_name("new"), labels=f'["{label}", "b", "c"]')
    new.rename(path)
    return path


def first_label(registry: Registry, name: str | None = None, version: str | None = None) -> str:
    return registry.find(name, version).predictor.labels[0]


def look_twice(registry: Registry) -> None:
    registry.refresh()  # sees that the file changed
    registry.refresh()  # and that it did not change since


def models_folder(folder: Path) -> Path:
    for name, version in (("cats", "2"), ("cats", "10"), ("dogs", "1")):
        write_model(folder / name / version / "model.onnx", labels=f'["{name} {version}", "b", "c"]')
    write_model(folder / "birds.onnx", labels='["birds", "b", "c"]')
    return folder


def test_a_folder_of_models_gives_names_and_versions(tmp_path: Path) -> None:
    registry = Registry([models_folder(tmp_path)], versions=2)
    assert {name: list(found) for name, found in registry.models.items()} == {
        "birds": ["1"],
        "cats": ["10", "2"],
        "dogs": ["1"],
    }
    assert first_label(registry, "cats") == "cats 10"
    assert first_label(registry, "cats", "2") == "cats 2"


def test_what_is_not_there_is_named_with_what_is(tmp_path: Path) -> None:
    registry = Registry([models_folder(tmp_path)])
    with pytest.raises(UnknownModelError, match="no model 'cows'; expected one of: birds, cats, dogs"):
        registry.find("cows")
    with pytest.raises(UnknownModelError, match="no version '2' of 'cats'; expected one of: 10"):
        registry.find("cats", "2")


def test_a_new_version_takes_over_and_the_older_is_let_go(tmp_path: Path) -> None:
    registry = Registry([models_folder(tmp_path)])
    write_model(tmp_path / "cats" / "11" / "model.onnx", labels='["cats 11", "b", "c"]')
    look_twice(registry)
    assert list(registry.models["cats"]) == ["11"]
    assert first_label(registry, "cats") == "cats 11"


def test_a_replaced_file_keeps_its_name(tmp_path: Path) -> None:
    path = put(tmp_path / "model.onnx", "old")
    registry = Registry([path])
    before = registry.find()
    put(path, "new")
    registry.refresh()
    assert first_label(registry) == "old"  # it may still be written
    registry.refresh()
    assert (registry.find().name, first_label(registry)) == ("evil", "new")
    assert before.predictor.labels[0] == "old"  # a request that began with it ends with it
    assert registry.changes == {("model", LOADED): 1, ("evil", LOADED): 1}


def test_a_broken_file_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = put(tmp_path / "model.onnx", "old")
    registry = Registry([path])
    path.write_bytes(path.read_bytes()[:200])
    with caplog.at_level(logging.ERROR, "graft.models"):
        look_twice(registry)
        look_twice(registry)
    [line] = caplog.messages  # told once
    assert line.startswith(f"model refused: {path}: not a readable ONNX file")
    assert first_label(registry) == "old"
    assert isinstance(registry.errors[path], ArtifactError)
    put(path, "mended")
    look_twice(registry)
    assert (first_label(registry), registry.errors) == ("mended", {})
    assert registry.changes["evil", REFUSED] == 1


def test_a_file_that_is_replaced_while_it_is_loaded_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "model.onnx", "old")
    registry = Registry([path])
    put(path, "between")
    monkeypatch.setattr(serve.registry, "try_model", lambda _path: put(path, "new"))
    look_twice(registry)
    assert first_label(registry) == "old"
    monkeypatch.setattr(serve.registry, "try_model", lambda _path: None)
    look_twice(registry)
    assert first_label(registry) == "new"


def test_a_file_may_be_missing_for_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "cats.onnx"
    put(path, "old")
    put(tmp_path / "dogs.onnx", "dog")
    registry = Registry([tmp_path])
    path.unlink()
    registry.refresh()
    assert first_label(registry, "cats") == "old"
    put(path, "new")
    look_twice(registry)
    assert first_label(registry, "cats") == "new"


def test_a_model_that_was_removed_is_let_go(tmp_path: Path) -> None:
    registry = Registry([models_folder(tmp_path)])
    (tmp_path / "birds.onnx").unlink()
    look_twice(registry)
    assert list(registry.models) == ["cats", "dogs"]


def test_versions_that_are_no_numbers_are_ordered_by_time(tmp_path: Path) -> None:
    for version in ("photos-b", "photos-a"):
        path = write_model(tmp_path / "evil" / version / "model.onnx")
        assert Signature.of(path) is not None
        time.sleep(0.01)
    assert list(Registry([tmp_path], versions=2).models["evil"]) == ["photos-a", "photos-b"]


@pytest.fixture
def worker() -> Iterator[Worker]:
    decoder = Decoder()
    yield Worker(decoder, Metrics(Registry([]), lambda: 0), cores=2)
    decoder.close()


def test_a_file_replaced_under_load_fails_no_request(tmp_path: Path, worker: Worker) -> None:
    """Also where it is written over in place, slowly, which no exporter of ours does."""
    path = put(tmp_path / "model.onnx", "0")
    registry, failed, seen, end = Registry([path]), [], set(), threading.Event()

    def ask() -> None:
        while not end.is_set():
            try:
                model = registry.find()
                [output] = worker.run(model, IMAGES, time.monotonic() + 20)
                assert output.answers.shape == (1, 3)
                seen.add(model.predictor.labels[0])
            except Exception as error:
                failed.append(error)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    for number in range(1, 6):
        if number % 2:
            put(path, str(number))
        else:
            content = write_model(tmp_path / "other", labels=f'["{number}", "b", "c"]').read_bytes()
            with path.open("wb") as file:
                for part in (content[:100], content[100:]):
                    file.write(part)
                    file.flush()
                    look_twice(registry)
        look_twice(registry)
        wait_until = time.monotonic() + 20
        while str(number) not in seen and not failed and time.monotonic() < wait_until:
            time.sleep(0.01)
    end.set()
    for client in clients:
        client.join()
    assert failed == []
    assert seen >= {"1", "2", "3", "4", "5"}
