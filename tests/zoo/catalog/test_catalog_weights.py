"""Published weights of catalogued networks, from files as the libraries name them, give their own answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from catalog_kit import answers, spec_of
from torch import nn
from weights_kit import sha256, use_folder

import zoo


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_torchvision_s_own_weights_give_its_own_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = torchvision.models.mobilenet_v3_small()
    path = use_folder(monkeypatch, tmp_path / "cache") / "mobilenet_v3_small-047dcff4.pth"
    torch.save(own.state_dict(), path)
    spec = spec_of(tmp_path, "torchvision: mobilenet_v3_small", classes=1000)
    spec = zoo.override(
        spec, {"weights.default": {"torchvision": "MobileNet_V3_Small_Weights.IMAGENET1K_V1"}}
    )
    spec = zoo.override(spec, {"weights.default.sha256": sha256(path)})
    images = torch.rand(1, 3, 64, 64)
    net, origin = zoo.load(spec, weights="default")
    assert torch.equal(answers(net, images), answers(own, images))
    assert origin is not None
    assert origin.classes == 1000
    _, origin = zoo.load(spec, weights="default", classes=5)
    assert origin is not None
    assert origin.audit.fresh == ("classifier.3.weight", "classifier.3.bias")


def test_the_auxiliary_parts_in_inception_s_file_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = torchvision.models.googlenet(init_weights=False, aux_logits=True, transform_input=True)
    path = use_folder(monkeypatch, tmp_path / "cache") / "googlenet-1378be20.pth"
    torch.save(own.state_dict(), path)
    entry = {"torchvision": "GoogLeNet_Weights.IMAGENET1K_V1", "sha256": sha256(path)}
    spec = spec_of(tmp_path, "torchvision: googlenet", classes=1000)
    spec = zoo.override(spec, {"weights.default": entry})
    net, origin = zoo.load(spec, weights="default")
    assert origin is not None
    assert all(key.startswith("aux") for key in origin.audit.unexpected)
    assert origin.audit.unexpected
    # Its file goes with a network that takes ImageNet's normalisation to 0.5 and 0.5 inside.
    trained = zoo.trained_input(spec, "default")
    image = torch.rand(1, 3, 64, 64)
    usual = (
        torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1),
        torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1),
    )
    assert trained.mean is not None
    assert trained.std is not None
    theirs = answers(own, (image - usual[0]) / usual[1])
    ours = answers(net, (image - trained.mean[0]) / trained.std[0])
    assert torch.allclose(theirs, ours, atol=1e-4)  # two roundings more, through 22 layers


def put_on_hub(folder: Path, name: str, net: nn.Module) -> Path:
    place = folder / f"timm--{name}"
    place.mkdir()
    safetensors.torch.save_file(net.state_dict(), place / "model.safetensors")
    return place / "model.safetensors"


def test_timm_s_own_weights_give_its_own_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = timm.create_model("mobilenetv3_small_050")
    put_on_hub(use_folder(monkeypatch, tmp_path / "cache"), "mobilenetv3_small_050.lamb_in1k", own)
    spec = spec_of(tmp_path, "timm: mobilenetv3_small_050", classes=1000)
    assert zoo.available_weights(spec) == ("default", "lamb_in1k")
    net, origin = zoo.load(spec, weights="default")
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(answers(net, images), answers(own, images))
    assert origin is not None
    assert origin.origin.startswith("timm mobilenetv3_small_050.lamb_in1k, ")
    assert origin.licence == "apache-2.0"


def test_timm_brings_weights_to_another_size_and_another_number_of_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = timm.create_model("vit_tiny_patch16_224")
    name = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    put_on_hub(use_folder(monkeypatch, tmp_path / "cache"), name, own)
    more = "input: {channels: 1, height: 96, width: 64, mean: [0.5], std: [0.5]}\n"
    spec = spec_of(tmp_path, "timm: vit_tiny_patch16_224", more=more)
    net, origin = zoo.load(spec, weights="default")
    assert origin is not None
    assert origin.audit.fresh == ("head.weight", "head.bias")
    assert net.state_dict()["pos_embed"].shape == (1, 6 * 4 + 1, 192)
    assert answers(net, torch.rand(1, 1, 96, 64)).shape == (1, 5)
    block = "blocks.3.mlp.fc1.weight"
    assert torch.equal(net.state_dict()[block], own.state_dict()[block])


def test_a_file_for_another_network_of_timm_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = timm.create_model("mobilenetv3_small_075")
    put_on_hub(use_folder(monkeypatch, tmp_path / "cache"), "mobilenetv3_small_050.lamb_in1k", other)
    spec = spec_of(tmp_path, "timm: mobilenetv3_small_050")
    with pytest.raises(zoo.WeightsError, match="is for another network"):
        zoo.load(spec, weights="default")


def test_a_declared_network_takes_timm_s_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = timm.create_model("resnet18")
    put_on_hub(use_folder(monkeypatch, tmp_path / "cache"), "resnet18.a1_in1k", own)
    spec = zoo.read_spec("resnet18", {"weights.a1": {"timm": "resnet18.a1_in1k"}})
    net, origin = zoo.load(spec, weights="a1")
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(answers(net, images), answers(own, images))
    assert origin is not None
    assert origin.audit.warnings == ()
