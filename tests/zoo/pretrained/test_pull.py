"""`graft zoo pull`: weights downloaded in advance."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from weights_kit import serving, sha256, small_spec, small_state, use_folder

import zoo.__main__ as command
from zoo.api import read_spec
from zoo.pretrained.pull import pull


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_folder(monkeypatch, tmp_path / "cache")
    folder = tmp_path / "published"
    folder.mkdir()
    torch.save(small_state(seed=1), folder / "one.pth")
    torch.save(small_state(seed=2), folder / "two.pth")
    return folder


def spec_of(folder: Path, published: Path, url: str) -> Path:
    entries = (
        f"{path.stem}: {{url: '{url}/{path.name}', sha256: '{sha256(path)}'}}"
        for path in sorted(published.glob("*.pth"))
    )
    return small_spec(folder, *entries)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["zoo", "pull", *arguments])
    with pytest.raises(SystemExit) as caught:
        command.main()
    return int(caught.value.code or 0)


def test_pull_downloads_every_entry_once(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(published) as server:
        spec = spec_of(tmp_path, published, server.url)
        assert run(monkeypatch, str(spec)) == 0
        first = capsys.readouterr().out.splitlines()
        assert run(monkeypatch, str(spec)) == 0
        assert server.requests == ["GET /one.pth", "GET /two.pth"]
    digest = sha256(published / "one.pth")
    home = tmp_path / "cache" / f"one-{digest[:8]}.pth"
    assert first[0] == f"one: downloaded: {home} (0.0 MB, sha256 {digest})"
    assert "two: already here" in capsys.readouterr().out


def test_pull_downloads_one_entry(tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(published) as server:
        assert run(monkeypatch, str(spec_of(tmp_path, published, server.url)), "--weights", "two") == 0
        assert server.requests == ["GET /two.pth"]


def test_pull_replaces_a_damaged_file(tmp_path: Path, published: Path) -> None:
    with serving(published) as server:
        spec = read_spec(spec_of(tmp_path, published, server.url))
        file = next(pull(spec, ("one",))).file
        file.write_bytes(b"damaged")
        again = next(pull(spec, ("one",)))
    assert again.downloaded
    assert sha256(file) == again.sha256 == sha256(published / "one.pth")


def test_pull_without_a_network_exits_with_2(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(spec_of(tmp_path, published, "http://127.0.0.1:9"))) == 2
    assert "these weights are not on this machine" in capsys.readouterr().err


def test_pull_refuses_a_damaged_local_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(small_state(), tmp_path / "small.pth")
    spec = small_spec(tmp_path, "mine: {file: small.pth, sha256: 0123abcd}")
    assert run(monkeypatch, str(spec)) == 2
    assert "damaged, or not the file" in capsys.readouterr().err


def test_pull_without_declared_weights_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "lenet5") == 2
    assert "declares no weights, so there is nothing to pull" in capsys.readouterr().err


def test_a_progress_bar_shows_on_a_terminal(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with serving(published) as server:
        next(pull(read_spec(spec_of(tmp_path, published, server.url)), ("one",)))
    assert "100%" in capsys.readouterr().err
