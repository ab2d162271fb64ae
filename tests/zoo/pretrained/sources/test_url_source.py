"""Weights from URLs and files: where they are looked for, how they are downloaded, and the errors."""

from __future__ import annotations

import time
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from threading import Event

import pytest
import torch
from weights_kit import (
    BreaksOff,
    forbid_network,
    serving,
    sha256,
    small_spec,
)

import zoo
from zoo.errors import WeightsError
from zoo.pretrained import download


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def by_url(folder: Path, url: str, known: str) -> zoo.Spec:
    return zoo.read_spec(small_spec(folder, f"mine: {{url: '{url}', sha256: '{known}'}}"))


def test_a_file_is_downloaded_once(
    tmp_path: Path, published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = sha256(published)
    with serving(published.parent) as server:
        spec = by_url(tmp_path, f"{server.url}/small.pth", known)
        assert zoo.available_weights(spec) == ()
        net = zoo.build(spec, weights="mine")
        assert server.requests == ["GET /small.pth"]
    assert names(cache) == [f"small-{known[:8]}.pth"]
    forbid_network(monkeypatch)
    assert zoo.available_weights(spec) == ("mine",)
    again = zoo.build(spec, weights="mine")
    assert torch.equal(again.state_dict()["conv.weight"], net.state_dict()["conv.weight"])


@pytest.mark.parametrize("damage", ["another file", "half of it"])
def test_a_download_with_a_wrong_hash_is_not_kept(
    tmp_path: Path, published: Path, cache: Path, damage: str
) -> None:
    known = sha256(published)
    content = published.read_bytes()
    published.write_bytes(b"x" * len(content) if damage == "another file" else content[: len(content) // 2])
    with serving(published.parent) as server, pytest.raises(WeightsError) as caught:
        zoo.build(by_url(tmp_path, f"{server.url}/small.pth", known), weights="mine")
    assert not isinstance(caught.value, zoo.WeightsUnavailableError)
    assert str(caught.value) == (
        f"{server.url}/small.pth: the downloaded file is not the one that was published\n"
        f"  expected: sha256 {known}\n  found:    sha256 {sha256(published)}"
    )
    assert names(cache) == []


def test_a_connection_that_breaks_off_is_tried_once_more(
    tmp_path: Path, published: Path, cache: Path
) -> None:
    known, size = sha256(published), published.stat().st_size
    with serving(published.parent, BreaksOff) as server:
        spec = by_url(tmp_path, f"{server.url}/small.pth", known)
        with pytest.raises(zoo.WeightsUnavailableError) as caught:
            zoo.build(spec, weights="mine")
        assert server.requests == ["GET /small.pth"] * 2
    assert f"IncompleteRead({size // 2} bytes read" in str(caught.value)
    assert names(cache) == []


def test_a_file_that_the_server_does_not_have_is_unavailable(
    tmp_path: Path, published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RETRIES", 0)
    with serving(published.parent) as server:
        spec = by_url(tmp_path, f"{server.url}/other.pth", sha256(published))
        with pytest.raises(zoo.WeightsUnavailableError, match="404"):
            zoo.build(spec, weights="mine")


def test_offline_the_error_names_file_hash_and_folder(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RETRIES", 0)
    with serving(tmp_path) as server:
        url = f"{server.url}/small.pth"  # the server is gone when it is asked
    with pytest.raises(zoo.WeightsUnavailableError) as caught:
        zoo.build(by_url(tmp_path, url, "0123456789ab"), weights="mine")
    assert str(caught.value) == (
        "small-01234567.pth: these weights are not on this machine: [Errno 111] Connection refused\n"
        f"  from:   {url}\n"
        "  hash:   sha256 beginning with 0123456789ab\n"
        f"  put small-01234567.pth into the folder {cache}, "
        "or run `graft zoo pull SPEC` with a network connection"
    )


def test_a_file_put_where_the_error_says_loads(
    tmp_path: Path, published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = sha256(published)
    spec = by_url(tmp_path, "http://127.0.0.1:9/small.pth", known)
    path = published.rename(cache / f"small-{known[:8]}.pth")
    forbid_network(monkeypatch)
    weights, net = torch.load(path, weights_only=True), zoo.build(spec, weights="mine")
    assert torch.equal(net.state_dict()["conv.weight"], weights["conv.weight"])


def test_a_server_that_does_not_answer_times_out(
    tmp_path: Path, published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Event()

    class Sleeps(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            done.wait(30)

    monkeypatch.setattr(download, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(download, "RETRIES", 0)
    start = time.perf_counter()
    with serving(published.parent, Sleeps) as server:
        spec = by_url(tmp_path, f"{server.url}/small.pth", sha256(published))
        with pytest.raises(zoo.WeightsUnavailableError, match=r"no answer within 0\.1 s"):
            zoo.build(spec, weights="mine")
        assert time.perf_counter() - start < 10  # with much room for a busy machine
        done.set()


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv("GRAFT_WEIGHTS", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match=f"{tmp_path / 'cache'}: cannot be written to"):
        zoo.build(by_url(tmp_path, "http://127.0.0.1:9/small.pth", sha256(published)), weights="mine")


def test_downloads_of_torch_hub_are_found(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRAFT_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    published.rename(folder / "resnet18-f37072fd.pth")
    assert zoo.available_weights(zoo.read_spec("resnet18")) == ("imagenet1k_v1",)


def test_a_missing_local_file_is_named(tmp_path: Path) -> None:
    spec = zoo.read_spec(small_spec(tmp_path, f"mine: {{file: gone.pth, sha256: {'ab' * 32}}}"))
    with pytest.raises(zoo.WeightsUnavailableError) as caught:
        zoo.build(spec, weights="mine")
    assert str(caught.value) == (
        "gone.pth: these weights are not on this machine: no such file\n"
        f"  hash:   sha256 {'ab' * 32}\n  put gone.pth into the folder {tmp_path}"
    )


def test_unknown_entries_are_not_available(tmp_path: Path) -> None:
    spec = small_spec(tmp_path, "a: {torchvision: Nonsense.V1}", "b: {timm: nonsense}", "c: {hub: nonsense}")
    assert zoo.available_weights(zoo.read_spec(spec)) == ()
