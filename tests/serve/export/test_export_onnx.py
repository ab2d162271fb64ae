"""Export: the file answers as the network does, for every kind of network, or there is no file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
import torchvision
from digits_kit import DIGITS, DigitsModel, MaskModel, digit_images, smooth_images
from torch import Tensor, nn

from finetune.tasks import find_task
from finetune.transforms.preprocess import Preprocess
from serve import Predictor
from serve.export import ExportError, export_onnx, onnx_file
from serve.export.graphs import ExportGraph, check_graph, evaluation_mode
from serve.export.onnx_file import check_parity, remove_leftovers
from serve.export.parity import spread

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits: Tensor) -> Tensor:
        return logits * self.factor


class Reverse(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits.flip(1)


class StageProbe(nn.Module):
    """A linear head over what forward hooks catch of a trunk's stages."""

    def __init__(self) -> None:
        super().__init__()
        block = torchvision.models.resnet.BasicBlock
        self.trunk = torchvision.models.ResNet(block, [1, 1, 1, 1], num_classes=4)
        self.caught: list[Tensor] = []
        for stage in ("layer1", "layer3"):
            self.trunk.get_submodule(stage).register_forward_hook(self._catch)
        self.head = nn.Linear(64 + 256, 7)

    def _catch(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        self.caught.append(output.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        self.caught.clear()
        self.trunk(x)
        features = torch.cat(self.caught, 1)
        self.caught.clear()
        return self.head(features)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Preprocess]] = {
    "convnext": (
        lambda: timm.create_model("convnext_atto", num_classes=5, depths=(1, 1, 1, 1)),
        Preprocess(height=64, width=64, resize="crop", **IMAGENET),
    ),
    "vit": (
        lambda: timm.create_model("vit_tiny_patch16_224", num_classes=5, img_size=64, depth=2),
        Preprocess(height=64, width=64, resize="pad"),
    ),
    "stage_probe": (StageProbe, Preprocess(height=64, width=48)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_file_answers_as_the_network(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, preprocess = NETWORKS[name]
    torch.manual_seed(0)
    net = make().eval()
    images = smooth_images()
    classes = net(preprocess(torch.from_numpy(images[0][None]))).shape[1]
    labels = tuple(f"class {i}" for i in range(classes))
    parity = export_onnx(net, preprocess, labels, tmp_path / "net.onnx", images=images)
    assert capfd.readouterr() == ("", "")  # no progress, and no warning, which pytest would raise
    assert parity.images == len(images)
    assert parity.top1_differences == 0
    # float32 sums in another order; the draft of the design measured at most 7e-7
    assert parity.max_probability_difference < 5e-6
    predictor = Predictor(tmp_path / "net.onnx")
    for image in smooth_images((41, 33), (200, 10)):  # sizes that the export never saw
        with torch.no_grad():
            expected = torch.softmax(net(preprocess(torch.from_numpy(image[None]))), 1).numpy()
        np.testing.assert_allclose(predictor.model(image[None]).answers, expected, atol=5e-6)


def test_segmentation_answers_at_the_size_of_the_image(mask_model: MaskModel) -> None:
    predictor = Predictor(mask_model.path)
    for image in smooth_images((33, 70), (100, 51)):
        mask = predictor.output(image)
        assert (mask.shape, mask.dtype) == (image.shape[:2], np.uint8)
        with torch.no_grad():
            small = mask_model.net(mask_model.preprocess(torch.from_numpy(image[None]))).argmax(1)
        expected = nn.functional.interpolate(small[:, None].float(), size=mask.shape, mode="nearest-exact")
        # single pixels on an edge may fall to the other side: nearest-exact finds its positions in float32
        assert (mask != expected[0, 0].numpy()).mean() < 0.02
    answer = predictor(image)
    assert sum(share for _, share in answer) == pytest.approx(1)
    assert answer == sorted(answer, key=lambda pair: -pair[1])


def failure_of_check(net: nn.Module, model: DigitsModel | MaskModel, task: str, count: int) -> str:
    """The message of the parity check of a model file against another network."""
    graph = ExportGraph(model.preprocess, net.eval(), find_task(task))
    labels = DIGITS if task == "classification" else ("sky", "sea", "land")
    images = list(digit_images()[0][:count]) if task == "classification" else smooth_images((20, 20))
    named = [(f"image {i}", image) for i, image in enumerate(images)]
    with torch.no_grad(), pytest.raises(ExportError) as raised:
        check_parity(onnx.load(model.path), graph, labels, named)
    return str(raised.value)


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (Scale(1.01), r"image \d+: off by \d\.\de-0[1-4]"),
        (Reverse(), r"off by .*, '\d' became '\d'"),
    ],
    ids=["a little", "other classes"],
)
def test_another_answer_fails(digits_model: DigitsModel, last: nn.Module, message: str) -> None:
    error = failure_of_check(nn.Sequential(digits_model.net, last), digits_model, "classification", 20)
    assert re.search(message, error)
    assert re.search(r"differently from the network on \d+ of 20 images", error)


def test_a_mask_that_differs_fails(mask_model: MaskModel) -> None:
    error = failure_of_check(nn.Sequential(mask_model.net, Reverse()), mask_model, "segmentation", 1)
    assert re.search(r"image 0: .*\d+ of 400 pixels have another class", error)


def test_a_failed_check_leaves_no_file(
    tmp_path: Path, digits_model: DigitsModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.onnx"
    path.write_text("the file before")
    monkeypatch.setattr(onnx_file, "trace", lambda *_: onnx.load(digits_model.path))
    net = nn.Sequential(digits_model.net, Reverse())
    with pytest.raises(ExportError, match="No file was written"):
        export_onnx(net, digits_model.preprocess, DIGITS, path, images=digit_images()[0][:5])
    assert [file.name for file in tmp_path.iterdir()] == ["kept.onnx"]
    assert path.read_text() == "the file before"


class ReadsItsInput(nn.Module):
    """Branches on a value, which no graph can say."""

    def forward(self, x: Tensor) -> Tensor:
        scores = x.mean((2, 3))
        return scores if float(x.sum()) > 0 else -scores


SQUARE = Preprocess(height=8, width=8)
CROP = Preprocess(height=8, width=8, resize="crop")
AB = ("a", "b")
MANY = tuple(map(str, range(257)))


@pytest.mark.parametrize(
    ("net", "labels", "options", "message"),
    [
        (nn.Flatten(), AB, {}, "answers 192 classes; expected 2, one per label"),
        (nn.Conv2d(3, 2, 8).double(), AB, {}, "holds torch.float64; expected float32"),
        (ReadsItsInput(), ("a", "b", "c"), {}, "cannot be written as ONNX: "),
        (
            nn.Flatten(),
            AB,
            {"task": "juggling"},
            "task 'juggling' cannot be exported; expected one of: ",
        ),
        (
            nn.Conv2d(3, 257, 1),
            MANY,
            {"task": "segmentation"},
            "257 classes; segmentation allows at most 256",
        ),
        (
            nn.Conv2d(3, 2, 1),
            AB,
            {"task": "segmentation", "preprocess": CROP},
            "input.resize is 'crop'; segmentation answers for the whole image, which needs 'squash'",
        ),
    ],
)
def test_network_that_cannot_be_exported(
    tmp_path: Path, net: nn.Module, labels: tuple[str, ...], options: dict[str, Any], message: str
) -> None:
    given = {"net": net, "preprocess": SQUARE, "labels": labels, "path": tmp_path / "no.onnx", **options}
    with pytest.raises(ExportError, match=re.escape(message)):
        export_onnx(**given, images=smooth_images((8, 8)))
    assert list(tmp_path.iterdir()) == []


def test_network_over_two_gibibytes() -> None:
    with torch.device("meta"):
        net = nn.Linear(2**15, 2**15 + 1)
    with pytest.raises(ExportError, match=r"takes 4\.0 GiB; one ONNX file holds less than 2 GiB"):
        check_graph(ExportGraph(SQUARE, net, find_task("classification")), ("a", "b"))


def test_no_images_to_compare(tmp_path: Path, digits_model: DigitsModel) -> None:
    with pytest.raises(ExportError, match="no image to check the export on"):
        export_onnx(digits_model.net, digits_model.preprocess, DIGITS, tmp_path / "no.onnx", images=[])


def test_network_is_given_back_as_it_was() -> None:
    net = nn.Sequential(nn.Conv2d(3, 10, 8), nn.BatchNorm2d(10), nn.Flatten())
    net.to(memory_format=torch.channels_last)[1].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with evaluation_mode(ExportGraph(SQUARE, net, find_task("classification"))) as graph:
        assert not any(module.training for module in graph.modules())
        graph(torch.from_numpy(digit_images()[0][:3]))
    assert [module.training for module in net] == [True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_file_is_one_valid_file_without_notes(digits_model: DigitsModel) -> None:
    assert [file.name for file in digits_model.folder.iterdir()] == ["model.onnx"]
    model = onnx.load(digits_model.path)
    onnx.checker.check_model(model, full_check=True)
    assert (model.producer_name, model.producer_version) == ("graft", "0.1.0")
    assert [opset.version for opset in model.opset_import if opset.domain == ""] == [20]
    assert {entry.key.partition(".")[0] for entry in model.metadata_props} == {"graft"}
    content = digits_model.path.read_bytes()
    assert b".py" not in content  # the exporter's stack traces name this machine's files
    assert b"torch" not in content


def test_images_for_the_check_are_spread_over_the_split() -> None:
    assert spread(tuple(range(10)), 4) == [0, 3, 6, 9]
    assert spread(tuple(range(3)), 200) == [0, 1, 2]
    assert spread((), 200) == []


def test_what_killed_exports_left_is_removed(tmp_path: Path) -> None:
    for name in (
        ".model.onnx.2147483647",
        f".model.onnx.{os.getpid()}",
        ".model.onnx.notes",
        ".other.2147483647",
    ):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "model.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {
        f".model.onnx.{os.getpid()}",
        ".model.onnx.notes",
        ".other.2147483647",
    }
