"""The weights that a recipe starts from: those here, else downloaded; never silently none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from weights_kit import serving, sha256, small_spec, small_state, use_folder

import zoo
from finetune.experiment.recipe import choose_weights, fetch_weights
from zoo.errors import GraftError


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file on a server, and an empty folder of downloads."""
    use_folder(monkeypatch, tmp_path / "cache")
    file = tmp_path / "published" / "small.pth"
    file.parent.mkdir()
    torch.save(small_state(), file)
    return file


def recipe(folder: Path, url: str, known: str, **values: str) -> zoo.Spec:
    entry = f"mine: {{url: '{url}/small.pth', sha256: '{known}'}}"
    return zoo.read_spec(
        small_spec(folder, entry), {f"finetune.{key}": value for key, value in values.items()}
    )


def test_weights_that_are_not_here_are_downloaded(tmp_path: Path, published: Path) -> None:
    with serving(published.parent) as server:
        spec = recipe(tmp_path, server.url, sha256(published))
        name, reason = choose_weights(spec)
        assert (name, reason) == ("mine", "")
        fetch_weights(spec)
        net, origin = zoo.load(spec, weights=name)
        assert server.requests == ["GET /small.pth"]
    assert origin is not None
    assert origin.sha256 == sha256(published)
    assert torch.equal(net.state_dict()["conv.weight"], small_state()["conv.weight"])


def test_without_a_network_the_message_says_every_way_out(tmp_path: Path, published: Path) -> None:
    with serving(published.parent) as server:
        url = server.url
    spec = recipe(tmp_path, url, sha256(published))
    with pytest.raises(GraftError) as error:
        fetch_weights(spec)
    message = str(error.value)
    for part in (url, sha256(published), str(tmp_path / "cache"), "--set finetune.weights=none"):
        assert part in message
    here = message.rpartition("on this machine: ")[2].split(", ")
    assert {"efficientnet_lite0", "resnet_small"} <= set(here)
    assert "resnet152" not in here


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"weights": "none"}, "finetune.weights is none"), ({"strategy": "scratch"}, "strategy is scratch")],
)
def test_who_asks_for_none_gets_none_and_no_download(
    tmp_path: Path, published: Path, values: dict[str, str], reason: str
) -> None:
    name, why = choose_weights(recipe(tmp_path, "http://nowhere.invalid", sha256(published), **values))
    assert name is None
    assert reason in why
