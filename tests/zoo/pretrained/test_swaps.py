"""Choices that make pretrained weights meaningless give warnings with what was not loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from weights_kit import small_spec, small_state, use_folder

import zoo

ENTRY = "mine: {file: small.pth}"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> zoo.Spec:
    use_folder(monkeypatch, tmp_path / "cache")
    torch.save(small_state(), tmp_path / "small.pth")
    return zoo.read_spec(small_spec(tmp_path, ENTRY))


@pytest.mark.parametrize("norm", ["group_norm", "layer_norm", "instance_norm", "none", "weight_norm"])
def test_another_norm_is_not_loaded_and_warns(spec: zoo.Spec, norm: str) -> None:
    swapped = zoo.override(spec, {"choices.norm": norm})
    net, origin = zoo.load(swapped, weights="mine", seed=3)
    assert origin is not None
    assert origin.audit.warnings == (
        f"choices.norm is {norm}, but these weights were trained with another norm; not loaded: norm",
    )
    assert {key.rpartition(".")[0] for key in origin.audit.skipped} == {"norm"}
    # Weight norm holds a weight as length and direction: their product, to the rounding of float32.
    assert torch.allclose(
        net.get_submodule("conv").weight, small_state()["conv.weight"], rtol=1e-6, atol=1e-7
    )
    fresh = dict(zoo.build(swapped, seed=3).named_parameters())
    own = {name: value for name, value in net.named_parameters() if name.startswith("norm")}
    assert all(torch.equal(value, fresh[name]) for name, value in own.items())


def test_weight_norm_of_loaded_weights(spec: zoo.Spec) -> None:
    net, _ = zoo.load(zoo.override(spec, {"choices.norm": "weight_norm"}), weights="mine")
    lengths = net.state_dict()["conv.parametrizations.weight.original0"]
    # Rounding of float32.
    assert torch.allclose(lengths.flatten(), small_state()["conv.weight"].flatten(1).norm(dim=1), rtol=1e-6)


def test_a_batch_norm_in_place_of_another_norm_is_not_loaded(tmp_path: Path, spec: zoo.Spec) -> None:
    grouped = {
        name: t for name, t in small_state().items() if "running" not in name and "batches" not in name
    }
    torch.save(grouped, tmp_path / "small.pth")
    _, origin = zoo.load(spec, weights="mine")
    assert origin is not None
    assert "norm.weight" in origin.audit.skipped
    assert "choices.norm is batch_norm" in origin.audit.warnings[0]


def test_a_batch_norm_in_place_of_no_norm_is_not_loaded(tmp_path: Path, spec: zoo.Spec) -> None:
    torch.save({name: t for name, t in small_state().items() if "norm" not in name}, tmp_path / "small.pth")
    _, origin = zoo.load(spec, weights="mine")
    assert origin is not None
    assert "norm.weight" in origin.audit.skipped


def test_another_activation_warns(spec: zoo.Spec) -> None:
    _, origin = zoo.load(zoo.override(spec, {"choices.act": "gelu"}), weights="mine")
    assert origin is not None
    assert origin.audit.warnings == (
        "choices.act is gelu, but these weights were trained with relu; "
        "they are loaded, but need training to be of use",
    )


def test_the_activation_is_compared_with_the_published_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.models import resnet18
    from weights_kit import sha256

    path = use_folder(monkeypatch, tmp_path / "cache") / "resnet18-f37072fd.pth"
    torch.save(resnet18().state_dict(), path)
    text = zoo.read_spec("resnet18", {"choices.act": "silu"}).to_yaml()
    resolved = tmp_path / "resolved.yaml"  # nothing in this file tells that its weights knew another
    resolved.write_text(text, encoding="utf-8")
    spec = zoo.read_spec(resolved, {"weights.imagenet1k_v1.sha256": f'"{sha256(path)}"'})
    _, origin = zoo.load(spec, weights="imagenet1k_v1")
    assert origin is not None
    assert "choices.act is silu, but these weights were trained with relu" in origin.audit.warnings[0]


def test_without_a_swap_there_is_no_warning(spec: zoo.Spec) -> None:
    _, origin = zoo.load(spec, weights="mine")
    assert origin is not None
    assert origin.audit.warnings == ()
    assert origin.audit.skipped == ()


def test_build_gives_python_warnings(spec: zoo.Spec) -> None:
    with pytest.warns(UserWarning, match="small, weights mine: choices.norm is group_norm"):
        zoo.build(zoo.override(spec, {"choices.norm": "group_norm"}), weights="mine")


def test_norms_with_other_names_are_not_a_swap(tmp_path: Path, spec: zoo.Spec) -> None:
    state = {name.replace("norm", "bn"): tensor for name, tensor in small_state().items()}
    torch.save(state, tmp_path / "small.pth")
    with pytest.raises(zoo.WeightsError, match=r"not in the network: bn\.weight"):
        zoo.load(spec, weights="mine")
