"""Networks of timm and torchvision by name: built, taken apart and filled as the zoo's own."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torchvision
from catalog_kit import answers, spec_of
from torch import Tensor

import zoo
from zoo.builder.network import build_network
from zoo.catalog.networks import build_on_meta
from zoo.catalog.stages import group


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


BLOCKS = "encoder.layers.encoder_layer_"
CASES = [
    ("torchvision: resnet18", "fc", ("layer1", "layer2", "layer3", "layer4")),
    ("torchvision: alexnet", "classifier.6", ("features.4", "features.11", "classifier.5")),
    ("torchvision: vit_b_16", "heads.head", (f"{BLOCKS}2", f"{BLOCKS}5", f"{BLOCKS}8", f"{BLOCKS}11")),
    ("torchvision: swin_t", "head", ("features.3", "features.5", "norm")),
    ("torchvision: googlenet", "fc", ("conv3", "inception3b", "inception4e", "inception5b")),
    ("torchvision: inception_v3", "fc", ("Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c")),
    ("torchvision: squeezenet1_1", "classifier.1", ("features.4", "features.7", "features.12")),
    ("torchvision: regnet_y_400mf", "fc", tuple(f"trunk_output.block{i}" for i in (1, 2, 3, 4))),
    ("timm: resnet18", "fc", ("layer1", "layer2", "layer3", "layer4")),
    ("timm: vit_tiny_patch16_224", "head", ("blocks.2", "blocks.5", "blocks.8", "blocks.11")),
    ("timm: convnext_atto", "head.fc", ("stages.0", "stages.1", "stages.2", "stages.3")),
    ("timm: mobilenetv3_small_050", "classifier", ("blocks.0", "blocks.1", "blocks.3", "blocks.5")),
    ("timm: mvitv2_tiny", "head.fc", ("stages.1", "stages.2", "norm")),
]


@pytest.mark.parametrize(("model", "head", "stages"), CASES)
def test_head_and_stages_are_found(tmp_path: Path, model: str, head: str, stages: tuple[str, ...]) -> None:
    spec = spec_of(tmp_path, model)
    net = build_on_meta(spec)  # which also holds that an image gives (N, classes)
    assert zoo.anatomy(spec, net) == zoo.Anatomy(head, stages)
    parts = zoo.stage_parts(net, zoo.anatomy(spec, net))
    held = [name for paths in parts.values() for name, _ in net.named_parameters() if inside(name, paths)]
    assert sorted(held) == sorted(name for name, _ in net.named_parameters() if not inside(name, (head,)))


def inside(name: str, paths: tuple[str, ...]) -> bool:
    return any(name == path or name.startswith(path + ".") for path in paths)


def test_parts_of_stages_are_what_lies_between_them(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "timm: vit_tiny_patch16_224")
    net = build_on_meta(spec)
    parts = zoo.stage_parts(net, zoo.anatomy(spec, net))
    assert parts["blocks.2"] == ("cls_token", "pos_embed", "patch_embed", "blocks.0", "blocks.1", "blocks.2")
    assert parts["blocks.11"] == ("blocks.9", "blocks.10", "blocks.11", "norm")


def test_parts_of_a_declared_network_s_pools_are_the_layers_before_them() -> None:
    spec = zoo.read_spec("vgg11")
    net = build_network(spec).net
    parts = zoo.stage_parts(net, zoo.anatomy(spec, net))
    assert list(parts.values()) == [
        ("features.0",),
        ("features.3",),
        ("features.6", "features.8"),
        ("features.11", "features.13"),
        ("features.16", "features.18", "classifier.0", "classifier.3"),
    ]


@pytest.mark.parametrize("model", ["torchvision: fcn_resnet50", "torchvision: lraspp_mobilenet_v3_large"])
def test_segmentation_gives_the_map_alone(tmp_path: Path, model: str) -> None:
    spec = spec_of(tmp_path, model, more="task: segmentation\ninput: {height: 64, width: 96}\n")
    net = zoo.build(spec)
    assert answers(net, torch.rand(1, 3, 64, 96)).shape == (1, 5, 64, 96)
    own = torchvision.models.get_model(
        model.removeprefix("torchvision: "), weights_backbone=None, num_classes=5
    )
    own.load_state_dict(net.state_dict(), strict=False)
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(answers(net, images), own.eval()(images)["out"])
    found = zoo.anatomy(spec, net)
    assert found.head == ("classifier.4" if "fcn" in model else "classifier")
    assert len(found.stages) >= 3


@pytest.mark.parametrize("model", ["torchvision: inception_v3", "torchvision: googlenet"])
def test_helpers_of_training_are_left_out(tmp_path: Path, model: str) -> None:
    net = zoo.build(spec_of(tmp_path, model, more="input: {height: 75, width: 75}\n"))
    assert isinstance(net.train()(torch.rand(2, 3, 75, 75)), Tensor)


def test_one_seed_one_start_and_torch_s_own_numbers_left_alone(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "timm: mobilenetv3_small_050")
    before = torch.random.get_rng_state()
    first, same, other = (zoo.build(spec, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first["classifier.weight"], same["classifier.weight"])
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


def test_the_library_s_input_is_the_spec_s_unless_it_says_its_own(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "timm: inception_v3")
    assert (spec.input.height, spec.input.width, spec.input.resize) == (299, 299, "crop")
    assert (spec.input.mean, spec.input.std) == ([0.5] * 3, [0.5] * 3)
    spec = spec_of(tmp_path, "timm: inception_v3", more="input: {height: 128, width: 96, resize: squash}\n")
    assert (spec.input.height, spec.input.width, spec.input.resize) == (128, 96, "squash")
    assert spec.input.mean == [0.5] * 3


def test_published_weights_are_entries_of_the_spec(tmp_path: Path) -> None:
    entries = spec_of(tmp_path, "torchvision: resnet50").weights
    assert list(entries) == ["default", "imagenet1k_v2", "imagenet1k_v1"]
    assert entries["default"].torchvision == "ResNet50_Weights.IMAGENET1K_V2"
    entries = spec_of(tmp_path, "timm: resnet18.a2_in1k", more="weights: {mine: {file: x.pth}}\n").weights
    assert entries["default"].timm == "resnet18.a2_in1k"
    assert {"a1_in1k", "tv_in1k", "mine"} < set(entries)
    assert list(spec_of(tmp_path, "timm: resnet18").weights)[:2] == ["default", "a1_in1k"]


def test_a_resolved_spec_is_the_same_spec(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "timm: mobilenetv3_small_050")
    again = tmp_path / "again.yaml"
    again.write_text(spec.to_yaml(), encoding="utf-8")
    assert zoo.read_spec(again).sha256 == spec.sha256
    assert zoo.read_spec(again).input == spec.input


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {timm: resnet81}\nclasses: 5", "1:15: model: timm has no network 'resnet81'"),
        ("model: {timm: resnet81}\nclasses: 5", "did you mean 'resnet18'?"),
        ("model: {torchvision: vgg61}\nclasses: 5", "1:22: model: torchvision has no network 'vgg61'"),
        ("model: {torchvision: vgg61}\nclasses: 5", "did you mean 'vgg19'?"),
        ("model: {torchvision: fasterrcnn_resnet50_fpn}\nclasses: 5", "torchvision has no network"),
        ("model: {timm: resnet18.a9_in1k}\nclasses: 5", "timm has no weights 'a9_in1k' for resnet18"),
        ("model: {torchvision: resnet18.v1}\nclasses: 5", "name its weights under weights"),
        (
            "model: {torchvision: fcn_resnet50}\nclasses: 5",
            "answers for every pixel, but the task is classification",
        ),
        ("model: {timm: resnet18}\ntask: segmentation\nclasses: 5", "but the task is segmentation"),
        ("model: {timm: levit_128}\nclasses: 5", "has several heads (head.linear, head_dist.linear)"),
    ],
)
def test_what_cannot_be_had_is_told_at_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(zoo.SpecError) as caught:
        zoo.read_spec(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("model", "size", "message"),
    [
        (
            "torchvision: resnet18",
            "channels: 1",
            "resnet18 cannot take images of 1x224x224: torchvision's networks",
        ),
        ("torchvision: vit_b_16", "height: 224, width: 192", "its images must be square"),
        ("torchvision: vit_b_16", "height: 100, width: 100", "vit_b_16 cannot take images of 3x100x100"),
        ("torchvision: vgg11", "height: 16, width: 16", "vgg11 cannot take images of 3x16x16"),
        ("timm: deepseek_vit_412m_enc", "channels: 3", "not one number per class: it has no head"),
    ],
)
def test_an_image_that_does_not_fit_is_told(tmp_path: Path, model: str, size: str, message: str) -> None:
    spec = spec_of(tmp_path, model, more=f"input: {{{size}}}\n")
    with pytest.raises(zoo.GraftError) as caught:
        zoo.build(spec)
    assert message in str(caught.value)


def test_the_spec_may_name_head_and_stages_itself(tmp_path: Path) -> None:
    more = "head: fc\nstages: [layer2, layer4]\n"
    spec = spec_of(tmp_path, "torchvision: resnet18", more=more)
    assert zoo.anatomy(spec, zoo.build(spec)) == zoo.Anatomy("fc", ("layer2", "layer4"))
    spec = spec_of(tmp_path, "torchvision: resnet18", more=more.replace("layer2", "layer22"))
    with pytest.raises(zoo.GraftError, match="has no module 'layer22'; did you mean 'layer2'"):
        zoo.anatomy(spec, zoo.build(spec))


def test_many_blocks_become_four_groups() -> None:
    blocks = [f"blocks.{i}" for i in range(13)]
    assert group(blocks[:6]) == tuple(blocks[:6])
    assert group(blocks[:12]) == ("blocks.2", "blocks.5", "blocks.8", "blocks.11")
    assert group(blocks) == ("blocks.3", "blocks.6", "blocks.9", "blocks.12")


@pytest.mark.parametrize("model", ["timm: tf_efficientnet_lite0", "torchvision: squeezenet1_1"])
def test_a_fresh_head_is_drawn_as_that_of_a_declared_network(tmp_path: Path, model: str) -> None:
    spec = spec_of(tmp_path, model, classes=6)
    net = zoo.build(spec, seed=3)
    head = net.get_submodule(zoo.anatomy(spec, net).head)
    weight = head.get_parameter("weight").detach()
    bound = weight[0].numel() ** -0.5
    assert 0.99 * bound < float(weight.abs().max()) <= bound
    assert not torch.equal(weight, zoo.build(spec, seed=4).get_submodule(zoo.anatomy(spec, net).head).weight)
    with torch.no_grad():
        logits = net.train()(torch.randn(8, 3, 64, 64))
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(8) % 6)
    assert float(loss) == pytest.approx(math.log(6), abs=0.3)


@pytest.mark.parametrize("size", ["classes: 900000000000", "classes: 2\ninput: {channels: 100000000000}"])
def test_too_many_parameters(tmp_path: Path, size: str) -> None:
    path = tmp_path / "wide.yaml"
    path.write_text(f"{size}\nmodel: {{timm: resnet18}}\n")
    with pytest.raises(zoo.GraftError, match=r"resnet18 would have .* parameters\n  expected: at most 100,0"):
        build_on_meta(zoo.read_spec(path))
