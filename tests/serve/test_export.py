"""Export: the file answers as the network does, for every kind of network, or there is no file."""

from __future__ import annotations

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
from digits_kit import DIGITS, DigitsModel, digit_images
from numpy.typing import NDArray
from torch import Tensor, nn

from finetune.transforms.preprocess import Preprocess
from serve import Predictor
from serve.artifact import read_metadata
from serve.export import ExportError, check_graph, export_onnx, spread
from serve.graphs import Classifier, fit_nearest

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def smooth_images(*sizes: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Pictures as smooth as photographs, uint8 (height, width, 3)."""
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 256, (len(sizes), 3, 6, 6)).astype(np.float32))
    return [
        nn.functional.interpolate(coarse[i : i + 1], size=size, mode="bicubic")[0]
        .clamp(0, 255)
        .byte()
        .permute(1, 2, 0)
        .numpy()
        for i, size in enumerate(sizes)
    ]


MIXED_SIZES = ((64, 64), (50, 80), (131, 77), (9, 9), (300, 200))


class LeNet5(nn.Sequential):
    """One grey channel inside."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.Tanh(),
            nn.AvgPool2d(2),
        )
        self.append(nn.Flatten()).append(nn.Linear(400, 120)).append(nn.Tanh()).append(nn.Linear(120, 10))


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
    "lenet5": (LeNet5, Preprocess(height=28, width=28, channels=1, resize="pad")),
    "convnext": (
        lambda: timm.create_model("convnext_atto", num_classes=5, depths=(1, 1, 1, 1)),
        Preprocess(height=64, width=64, resize="crop", **IMAGENET),
    ),
    "densenet": (
        lambda: torchvision.models.DenseNet(8, (2, 2), 16, num_classes=5),
        Preprocess(height=64, width=64, **IMAGENET),
    ),
    "vit": (
        lambda: timm.create_model("vit_tiny_patch16_224", num_classes=5, img_size=64, depth=2),
        Preprocess(height=64, width=64),
    ),
    "stage_probe": (StageProbe, Preprocess(height=64, width=48)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_file_answers_as_the_network(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, preprocess = NETWORKS[name]
    torch.manual_seed(0)
    net = make().eval()
    images = smooth_images(*MIXED_SIZES)
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
        np.testing.assert_allclose(predictor.probabilities(image[None]), expected, atol=5e-6)


def test_segmentation_answers_at_the_size_of_the_image(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    preprocess = Preprocess(height=32, width=48)
    images = smooth_images(*MIXED_SIZES)
    labels = ("sky", "sea", "land", "boat")
    path = tmp_path / "mask.onnx"
    parity = export_onnx(net, preprocess, labels, path, images=images, task="segmentation")
    assert parity.top1_differences == 0
    predictor = Predictor(path)
    for image in images:
        mask = predictor.mask(image)
        assert (mask.shape, mask.dtype) == (image.shape[:2], np.uint8)
        with torch.no_grad():
            small = net(preprocess(torch.from_numpy(image[None]))).argmax(1)
        expected = nn.functional.interpolate(small[:, None].float(), size=mask.shape, mode="nearest-exact")
        # single pixels on an edge may fall to the other side: nearest-exact finds its places in float32
        assert (mask != expected[0, 0].numpy()).mean() < 0.02
    answer = predictor(images[0])
    assert sum(share for _, share in answer) == pytest.approx(1)
    assert answer == sorted(answer, key=lambda pair: -pair[1])
    with pytest.raises(Exception, match="a segmentation model; ask it with"):
        predictor.probabilities(images[0][None])


def test_nearest_fit_is_exact_where_sizes_divide() -> None:
    small = torch.arange(6, dtype=torch.uint8).reshape(1, 2, 3)
    large = fit_nearest(small, torch.zeros(1, 4, 9, 3))
    assert torch.equal(large, small.repeat_interleave(2, 1).repeat_interleave(3, 2))
    assert torch.equal(fit_nearest(large, torch.zeros(1, 2, 3, 3)), small)


class OtherwiseInOnnx(nn.Module):
    """Behaves differently once it is traced, as a faulty operator would."""

    def __init__(self, net: nn.Module, wrong: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net = net
        self.wrong = wrong

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return self.wrong(logits) if torch.compiler.is_exporting() else logits


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda logits: logits * 1.01, r"image \d+: off by \d\.\de-0[1-4]"),
        (lambda logits: logits.flip(1), r"off by .*, '\d' became '\d'"),
    ],
    ids=["a little", "other classes"],
)
def test_another_answer_fails_and_leaves_no_file(
    tmp_path: Path, digits_model: DigitsModel, wrong: Callable[[Tensor], Tensor], message: str
) -> None:
    net = OtherwiseInOnnx(digits_model.net, wrong).eval()
    path = tmp_path / "wrong.onnx"
    path.write_text("what stood there before")
    named = [(f"image {i}", image) for i, image in enumerate(digit_images()[0][:20])]
    with pytest.raises(ExportError, match=message) as raised:
        export_onnx(net, digits_model.preprocess, DIGITS, path, images=named)
    assert re.search(r"otherwise than the network on \d+ of 20 images", str(raised.value))
    assert "No file was written" in str(raised.value)
    assert [file.name for file in tmp_path.iterdir()] == ["wrong.onnx"]
    assert path.read_text() == "what stood there before"


def test_a_mask_that_differs_fails(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = OtherwiseInOnnx(nn.Conv2d(3, 4, 1), lambda logits: logits.flip(1)).eval()
    images = smooth_images((20, 20))
    with pytest.raises(ExportError, match=r"image 0: .*\d+ of 400 pixels have another class"):
        export_onnx(
            net,
            Preprocess(height=16, width=16),
            ("a", "b", "c", "d"),
            tmp_path / "wrong.onnx",
            images=images,
            task="segmentation",
        )


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
        (nn.Flatten(), AB, {}, "answers 192 classes; expected 2, one a label"),
        (nn.Conv2d(3, 2, 8).double(), AB, {}, "holds torch.float64; expected float32"),
        (ReadsItsInput(), ("a", "b", "c"), {}, "cannot be written as ONNX: "),
        (
            nn.Flatten(),
            AB,
            {"task": "juggling"},
            "task 'juggling' cannot be exported; expected one of: ",
        ),
        (nn.Conv2d(3, 257, 1), MANY, {"task": "segmentation"}, "a mask of uint8 tells at most 256"),
        (
            nn.Conv2d(3, 2, 1),
            AB,
            {"task": "segmentation", "preprocess": CROP},
            "input.resize is 'crop'; a mask that covers the whole image needs 'squash'",
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
        check_graph(Classifier(SQUARE, net), "classification", ("a", "b"))


def test_no_images_to_compare(tmp_path: Path, digits_model: DigitsModel) -> None:
    with pytest.raises(ExportError, match="no image to check the export on"):
        export_onnx(digits_model.net, digits_model.preprocess, DIGITS, tmp_path / "no.onnx", images=[])


def test_network_is_given_back_as_it_was(tmp_path: Path, digits: tuple[NDArray[np.uint8], object]) -> None:
    net = nn.Sequential(nn.Conv2d(3, 10, 8), nn.BatchNorm2d(10), nn.Flatten())
    net.to(memory_format=torch.channels_last)[1].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    export_onnx(net, SQUARE, DIGITS, tmp_path / "net.onnx", images=digits[0][:3])
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


def test_other_opset(
    tmp_path: Path, digits_model: DigitsModel, digits: tuple[NDArray[np.uint8], object]
) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(digits_model.net, digits_model.preprocess, DIGITS, path, images=digits[0][:2], opset=18)
    assert onnx.load(path).opset_import[0].version == 18
    assert read_metadata(path).labels == DIGITS


def test_images_for_the_check_are_spread_over_the_split() -> None:
    assert spread(tuple(range(10)), 4) == [0, 3, 6, 9]
    assert spread(tuple(range(3)), 200) == [0, 1, 2]
    assert spread((), 200) == []
