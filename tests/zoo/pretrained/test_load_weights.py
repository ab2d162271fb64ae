"""Load weights into networks: which tensors are loaded, and what is reported about the others."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision
import yaml
from torch import Tensor
from weights_kit import SMALL, Small, serving, sha256, small_spec, small_state, use_folder

import zoo
from zoo.errors import WeightsError

IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_folder(monkeypatch, tmp_path / "cache")


def saved(folder: Path, state: object, name: str = "small.pth", *, zipped: bool = True) -> Path:
    path = folder / name
    if path.suffix == ".safetensors":
        assert isinstance(state, dict)
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
    return path


def outputs(net: torch.nn.Module) -> Tensor:
    with torch.no_grad():
        return net.eval()(IMAGES)


@pytest.mark.parametrize(
    ("name", "zipped"),
    [("small.pth", True), ("small.pt", False), ("small.safetensors", True), ("small", True)],
)
def test_every_format_gives_the_same_outputs(tmp_path: Path, name: str, zipped: bool) -> None:
    state = small_state()
    saved(tmp_path, state, name, zipped=zipped)
    net, origin = zoo.load(small_spec(tmp_path, f"mine: {{file: {name}}}"), weights="mine")
    original = Small()
    original.load_state_dict(state)
    assert torch.equal(outputs(net), outputs(original))
    assert origin is not None
    assert origin.sha256 == sha256(tmp_path / name)
    assert set(origin.audit.loaded) == set(state)
    assert (origin.audit.missing, origin.audit.unexpected, origin.audit.fresh) == ((), (), ())


@pytest.mark.parametrize(
    ("key", "wrappers"),
    [
        ("state_dict", "module."),
        ("model", "_orig_mod."),
        ("model_ema", "module._orig_mod."),
        ("model", "_orig_mod.module."),
    ],
)
def test_weights_nested_in_a_checkpoint_are_found(tmp_path: Path, key: str, wrappers: str) -> None:
    state = {f"{wrappers}{name}": tensor for name, tensor in small_state().items()}
    saved(tmp_path, {"epoch": 3, key: state})
    net, _ = zoo.load(small_spec(tmp_path, "mine: {file: small.pth}"), weights="mine")
    assert torch.equal(net.state_dict()["fc.weight"], state[f"{wrappers}fc.weight"])


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    halves = {name: t.half() if t.is_floating_point() else t for name, t in small_state().items()}
    saved(tmp_path, halves, "small.safetensors")
    net = zoo.build(small_spec(tmp_path, "mine: {file: small.safetensors}"), weights="mine")
    assert net.state_dict()["conv.weight"].dtype == torch.float32
    assert torch.equal(net.state_dict()["conv.weight"], halves["conv.weight"].float())


def test_with_other_classes_only_the_head_is_not_loaded(tmp_path: Path) -> None:
    state = small_state()
    saved(tmp_path, state)
    spec = small_spec(tmp_path, "mine: {file: small.pth, classes: 4}")
    net, origin = zoo.load(spec, weights="mine", classes=7, seed=5)
    fresh = zoo.build(spec, classes=7, seed=5)
    assert origin is not None
    assert origin.audit.fresh == ("fc.weight", "fc.bias")
    assert origin.classes == 4
    assert torch.equal(net.state_dict()["conv.weight"], state["conv.weight"])
    assert torch.equal(net.state_dict()["fc.weight"], fresh.state_dict()["fc.weight"])
    assert outputs(net).shape == (2, 7)


def test_a_head_that_the_file_lacks_keeps_its_initial_values(tmp_path: Path) -> None:
    saved(tmp_path, {name: t for name, t in small_state().items() if not name.startswith("fc")})
    _, origin = zoo.load(small_spec(tmp_path, "mine: {file: small.pth}"), weights="mine")
    assert origin is not None
    assert origin.audit.fresh == ("fc.weight", "fc.bias")


def test_batch_counters_may_be_missing(tmp_path: Path) -> None:
    saved(tmp_path, {name: t for name, t in small_state().items() if "num_batches" not in name})
    _, origin = zoo.load(small_spec(tmp_path, "mine: {file: small.pth}"), weights="mine")
    assert origin is not None
    assert origin.audit.missing == ()


def test_rename_reshape_and_allowed_keys(tmp_path: Path) -> None:
    state = small_state()
    state["body.0.weight"] = state.pop("conv.weight").reshape(6, 27)
    state["helper.weight"] = torch.ones(2)
    del state["norm.bias"]
    saved(tmp_path, state)
    entry = (
        'mine: {file: small.pth, rename: {^body.0: conv}, reshape: [conv], allow_missing: ["*.bias"],'
        " allow_unexpected: [helper]}"
    )
    net, origin = zoo.load(small_spec(tmp_path, entry), weights="mine")
    assert origin is not None
    assert origin.audit.reshaped == ("conv.weight",)
    assert origin.audit.missing == ("norm.bias",)
    assert origin.audit.unexpected == ("helper.weight",)
    assert torch.equal(net.state_dict()["conv.weight"].reshape(6, 27), state["body.0.weight"])


def test_renaming_two_tensors_to_one_name_is_an_error(tmp_path: Path) -> None:
    saved(tmp_path, small_state())
    spec = small_spec(tmp_path, "mine: {file: small.pth, rename: {fc: conv}}")
    with pytest.raises(WeightsError, match=r"same name: conv\.weight"):
        zoo.load(spec, weights="mine")


def test_a_file_for_another_network_is_an_error_with_the_keys(tmp_path: Path) -> None:
    state = small_state() | {"layer9.weight": torch.ones(3)}
    state["conv.weight"] = torch.ones(8, 3, 3, 3)
    del state["norm.bias"]
    path = saved(tmp_path, state)
    with pytest.raises(WeightsError) as caught:
        zoo.load(small_spec(tmp_path, "mine: {file: small.pth}"), weights="mine")
    assert str(caught.value) == (
        f"small, weights mine: {path} is for another network\n"
        "  not in the file:    norm.bias\n"
        "  not in the network: layer9.weight\n"
        "  of another shape:   conv.weight 8x3x3x3, not 6x3x3x3\n"
        "  6 tensors fit. To allow differences, set rename, reshape, allow_missing or allow_unexpected under "
        "weights.mine;\n"
        "  to remove these weights from the spec, set `weights: {mine: null}`"
    )
    assert not isinstance(caught.value, zoo.WeightsUnavailableError)


def test_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    spec = small_spec(tmp_path, "imagenet: {torchvision: ResNet18_Weights.IMAGENET1K_V1}")
    for ask in (zoo.load, zoo.build):
        with pytest.raises(WeightsError, match=r"unknown weights 'imagnet'\n.*did you mean 'imagenet'"):
            ask(spec, weights="imagnet")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("torchvision: ResNet18_Weights.IMAGENET1K_V2", "did you mean 'ResNet18_Weights.IMAGENET1K_V1'"),
        ("timm: resnet18.a1_in22k", "expected: resnet18.a1_in1k, resnet18.a2_in1k"),
        ("timm: resnet81.a1_in1k", "timm has no network 'resnet81'; did you mean 'resnet18'"),
        ("hub: resnet18", "'resnet18' is not an address on the hub"),
        ("url: 'https://example.org/x.pth'", "no sha256"),
    ],
)
def test_weights_unknown_to_their_publisher_are_an_error_with_the_nearest_name(
    tmp_path: Path, entry: str, message: str
) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        zoo.load(small_spec(tmp_path, f"mine: {{{entry}}}"), weights="mine")
    assert not isinstance(caught.value, zoo.WeightsUnavailableError)


def test_old_densenet_keys_are_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        original = torchvision.models.densenet121(num_classes=10)
    old = {}
    for name, tensor in original.state_dict().items():
        if "num_batches_tracked" in name:
            continue  # the file that torchvision publishes is older than these
        inside = "denselayer" in name
        for layer in ("norm", "conv"):
            name = name.replace(f".{layer}1.", f".{layer}.1.") if inside else name  # noqa: PLW2901
            name = name.replace(f".{layer}2.", f".{layer}.2.") if inside else name  # noqa: PLW2901
        old[name] = tensor
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    published = tmp_path / "published"
    published.mkdir()
    path = saved(published, old, "densenet121-old.pth", zipped=False)
    entry = {"torchvision": None, "url": "", "sha256": sha256(path), "classes": 10}
    entry["rename"] = {"norm.1": "norm1", "norm.2": "norm2", "conv.1": "conv1", "conv.2": "conv2"}
    with serving(published) as server:
        entry["url"] = f"{server.url}/densenet121-old.pth"
        net, origin = zoo.load(
            zoo.read_spec("densenet121", {"weights.old": {k: v for k, v in entry.items() if v is not None}}),
            weights="old",
            classes=10,
        )
    assert origin is not None
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.equal(net.eval()(images), original.eval()(images))

    # The same file under the name that torchvision gives its own needs no renames in the spec.
    cache = use_folder(monkeypatch, tmp_path / "cache")
    path.rename(cache / "densenet121-a639ec97.pth")
    spec = zoo.read_spec("densenet121", {"weights.imagenet1k_v1.sha256": f'"{entry["sha256"]}"'})
    net, origin = zoo.load(spec, weights="imagenet1k_v1", classes=10)
    assert origin is not None
    with torch.no_grad():
        assert torch.equal(net.eval()(images), original(images))
    assert "BSD-3-Clause" in origin.licence
    assert origin.origin.startswith("torchvision DenseNet121_Weights.IMAGENET1K_V1, https://")


def test_loading_does_not_change_the_random_state(tmp_path: Path) -> None:
    saved(tmp_path, small_state())
    spec = small_spec(tmp_path, "mine: {file: small.pth}")
    before = torch.random.get_rng_state()
    zoo.build(spec, weights="mine")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_file_is_found_from_a_copy_of_the_spec(tmp_path: Path) -> None:
    saved(tmp_path, small_state())
    spec = zoo.read_spec(small_spec(tmp_path, "mine: {file: small.pth}"))
    elsewhere = tmp_path / "runs" / "one"
    elsewhere.mkdir(parents=True)
    (elsewhere / "spec.yaml").write_text(spec.to_yaml(), encoding="utf-8")
    assert zoo.available_weights(zoo.read_spec(elsewhere / "spec.yaml")) == ("mine",)


def test_trained_input_leaves_out_what_the_spec_sets(tmp_path: Path) -> None:
    entry = "mine: {file: x.pth, input: {height: 32, width: 32, resize: pad, mean: [0.1, 0.2, 0.3]}}"
    spec = zoo.read_spec(small_spec(tmp_path, entry))
    trained = zoo.trained_input(spec, "mine")
    assert (trained.height, trained.width) == (None, None)  # the spec has its own
    assert (trained.resize, trained.mean, trained.std) == ("pad", [0.1, 0.2, 0.3], None)
    spec = zoo.override(spec, {"input.resize": "crop"})
    assert zoo.trained_input(spec, "mine").resize is None


def test_trained_input_of_torchvision_and_timm() -> None:
    spec = zoo.read_spec("resnet18", {"weights.timm": {"timm": "resnet18.a1_in1k"}})
    theirs = zoo.trained_input(spec, "imagenet1k_v1")
    assert (theirs.resize, theirs.mean, theirs.std) == ("crop", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert zoo.trained_input(spec, "timm").std == [0.229, 0.224, 0.225]


def test_an_entry_has_one_source(tmp_path: Path) -> None:
    document = yaml.safe_load(SMALL.format(weights="  a: {file: x.pth, url: 'http://y/z'}"))
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(zoo.SpecError, match="weights come from one of"):
        zoo.read_spec(path)
