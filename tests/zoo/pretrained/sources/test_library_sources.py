"""Weights of timm and torchvision are downloaded by their real clients, from a server on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1
from weights_kit import serving, serving_hub, sha256, use_folder

import zoo


def test_weights_of_timm_come_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_folder(monkeypatch, tmp_path / "cache")
    published = timm.create_model("test_resnet").state_dict()
    file = "timm/test_resnet.r160_in1k/resolve/main/model.safetensors"
    path = tmp_path / "net.yaml"
    path.write_text("model: {timm: test_resnet.r160_in1k}\nclasses: 1000\n")
    with serving_hub(tmp_path, monkeypatch, file, safetensors.torch.save(published)) as server:
        net, origin = zoo.load(path, weights="default")
        assert f"GET /{file}" in server.requests
    assert origin is not None
    assert origin.origin.startswith("timm test_resnet.r160_in1k, http://127.0.0.1")
    assert all(torch.equal(value, published[name]) for name, value in net.state_dict().items())


def test_weights_of_torchvision_come_from_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_folder(monkeypatch, tmp_path / "cache")
    published = squeezenet1_1().state_dict()
    torch.save(published, tmp_path / "squeezenet1_1.pth")
    digest = sha256(tmp_path / "squeezenet1_1.pth")
    (tmp_path / "squeezenet1_1.pth").rename(tmp_path / f"squeezenet1_1-{digest[:8]}.pth")
    path = tmp_path / "net.yaml"
    path.write_text("model: {torchvision: squeezenet1_1}\nclasses: 1000\n")
    weights = SqueezeNet1_1_Weights.IMAGENET1K_V1.value
    with serving(tmp_path) as server, pytest.MonkeyPatch.context() as patch:
        patch.setitem(vars(weights), "url", f"{server.url}/squeezenet1_1-{digest[:8]}.pth")
        net, origin = zoo.load(path, weights="imagenet1k_v1")
    assert origin is not None
    assert origin.sha256 == digest
    assert origin.licence.startswith("BSD-3-Clause, as torchvision")
    assert all(torch.equal(value, published[name]) for name, value in net.state_dict().items())
