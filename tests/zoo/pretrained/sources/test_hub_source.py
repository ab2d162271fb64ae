"""Weights on a hub: they are kept in its cache, hashes are checked, files put there by hand are found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from huggingface_hub import constants
from weights_kit import Server, forbid_network, serving_hub, small_spec, small_state, use_folder

import zoo
from zoo.pretrained.pull import pull

CONTENT = safetensors.torch.save(small_state())
SHA256 = hashlib.sha256(CONTENT).hexdigest()


FILE = "owner/net/resolve/main/model.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    use_folder(monkeypatch, tmp_path / "cache")
    with serving_hub(tmp_path, monkeypatch, FILE, CONTENT) as server:
        yield server


@pytest.fixture
def spec(tmp_path: Path) -> zoo.Spec:
    return zoo.read_spec(small_spec(tmp_path, "mine: {hub: owner/net}", "gone: {hub: owner/net/other.bin}"))


def test_a_file_is_downloaded_into_the_hub_s_cache(
    tmp_path: Path, hub: Server, spec: zoo.Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, origin = zoo.load(spec, weights="mine")
    assert origin is not None
    assert origin.sha256 == SHA256
    assert origin.origin == f"hub owner/net, {hub.url}/owner/net/resolve/main/model.safetensors"
    assert torch.equal(net.state_dict()["conv.weight"], small_state()["conv.weight"])
    assert (tmp_path / "hub" / "models--owner--net" / "blobs" / SHA256).is_file()
    forbid_network(monkeypatch)
    assert zoo.available_weights(spec) == ("mine",)
    zoo.load(spec, weights="mine")


def test_a_file_damaged_in_the_cache_is_downloaded_again(tmp_path: Path, hub: Server, spec: zoo.Spec) -> None:
    zoo.load(spec, weights="mine")
    blob = tmp_path / "hub" / "models--owner--net" / "blobs" / SHA256
    blob.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(zoo.WeightsError, match=f"damaged.*\n  expected: sha256 {SHA256}"):
        zoo.load(spec, weights="mine")
    assert next(pull(spec, ("mine",))).downloaded
    zoo.load(spec, weights="mine")


def test_a_damaged_file_put_there_by_hand_is_replaced(hub: Server, tmp_path: Path) -> None:
    spec = zoo.read_spec(small_spec(tmp_path, f"mine: {{hub: owner/net, sha256: {SHA256}}}"))
    by_hand = tmp_path / "cache" / "owner--net" / "model.safetensors"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(zoo.WeightsError, match="damaged"):
        zoo.load(spec, weights="mine")
    assert next(pull(spec, ("mine",))).downloaded
    zoo.load(spec, weights="mine")
    assert not by_hand.exists()


def test_the_hash_in_the_spec_is_checked(hub: Server, tmp_path: Path) -> None:
    spec = zoo.read_spec(small_spec(tmp_path, "mine: {hub: owner/net, sha256: 0123abcd}"))
    with pytest.raises(zoo.WeightsError, match="damaged, or not the file that was published") as caught:
        zoo.load(spec, weights="mine")
    assert not isinstance(caught.value, zoo.WeightsUnavailableError)


def test_a_file_that_the_hub_does_not_have_is_unavailable(hub: Server, spec: zoo.Spec) -> None:
    with pytest.raises(zoo.WeightsUnavailableError, match=r"other\.bin: these weights are not .* 404"):
        zoo.load(spec, weights="gone")


def test_offline_the_error_names_file_and_folder(
    tmp_path: Path, hub: Server, spec: zoo.Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    forbid_network(monkeypatch)
    with pytest.raises(zoo.WeightsUnavailableError) as caught:
        zoo.load(spec, weights="mine")
    assert str(caught.value) == (
        "model.safetensors: these weights are not on this machine: HF_HUB_OFFLINE is set\n"
        f"  from:   {constants.ENDPOINT}/owner/net/resolve/main/model.safetensors\n"
        "  hash:   sha256 not known\n"
        f"  put model.safetensors into the folder {tmp_path / 'cache' / 'owner--net'}, "
        "or run `graft zoo pull SPEC` with a network connection"
    )


def test_a_file_put_where_the_error_says_loads(
    tmp_path: Path, spec: zoo.Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = use_folder(monkeypatch, tmp_path / "cache") / "owner--net"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(CONTENT)
    forbid_network(monkeypatch)
    _, origin = zoo.load(spec, weights="mine")
    assert origin is not None
    assert origin.sha256 == SHA256
