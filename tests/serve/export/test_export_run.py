"""The exporter as training calls it, on a short but whole run, and `graft export RUN` after it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from call_kit import Call
from digits_kit import DigitsModel
from PIL import Image
from rich.console import Console

import finetune
import zoo
from finetune.finished import load_run, write_run_page
from finetune.models.calibrated import CalibratedNet
from serve.artifact import UnknownLimit
from serve.export import export_float16, export_int8, float16
from serve.export.int8 import choose
from serve.export.int8.quantize import find_layers, find_network
from serve.export.run import describe_run
from serve.model import read_metadata
from serve.predictor import Predictor
from serve.tasks import comparison
from zoo.errors import GraftError

SPEC = Path(__file__).parents[3] / "specs" / "lenet5.yaml"


@pytest.fixture(scope="module")
def from_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run, its images beside it under a path that starts where the tests stand."""
    root = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    for name in ("dark", "light"):
        (root / "images" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 100, (9, 9, 3), np.uint8) + np.uint8(150 * (name == "light"))
            Image.fromarray(pixels).save(root / "images" / name / f"{i}.png")
    settings: dict[str, object] = {
        "finetune.epochs": 1,
        "finetune.strategy": "scratch",
        "finetune.checks": "none",
    }
    settings |= {"export.parity_images": 2}
    (root / "settings.json").write_text(json.dumps(settings))
    with contextlib.chdir(root):
        finetune.run(SPEC, data="images", set=settings, run="run", console=Console(quiet=True))
    return root / "run"


def test_artifact_tells_of_its_run(from_files: Path) -> None:
    metadata = read_metadata(from_files)
    report = json.loads((from_files / "report.json").read_text())
    assert (metadata.spec, metadata.task, metadata.labels) == ("lenet5", "classification", ("dark", "light"))
    assert metadata.metrics["accuracy"] == report["metrics"]["accuracy"]
    assert report["exports"]["onnx"]["numbers"]["images"] == metadata.parity["images"] == 2
    with contextlib.chdir(from_files.parent):
        finished = load_run(from_files)
    assert metadata.spec_sha256 == finished.spec.sha256
    assert isinstance(finished.calibrated, CalibratedNet)
    assert finished.calibration is not None and finished.calibration.images == len(finished.val)
    assert finished.calibration.temperature == report["calibration"]["temperature"]
    assert metadata.unknown == UnknownLimit(1.0, 0.95)
    pixels = np.full((1, 9, 9, 3), 77, np.uint8)
    answered = Predictor(from_files).model(pixels)
    with torch.no_grad():  # the network that is loaded again answers as the file
        logits, unknown = finished.calibrated.with_unknown(finished.preprocess(torch.from_numpy(pixels)))
    np.testing.assert_allclose(answered.answers, logits.softmax(1).numpy(), atol=1e-5)
    assert answered.unknown == pytest.approx(unknown.numpy(), rel=1e-4)
    about = describe_run(finished)  # no lists or objects
    assert all(isinstance(value, float) for value in about.metrics.values())
    assert all(isinstance(value, str | int) for value in about.weights.values())


def test_the_page_is_written_again(from_files: Path) -> None:
    page = from_files / "report.html"
    before = page.read_text()
    page.unlink()
    with contextlib.chdir(from_files.parent):
        assert write_run_page(from_files) == page
    hour = re.compile(r"Graft · [^<]*")
    assert hour.sub("", page.read_text()) == hour.sub("", before)


def spoil_image(run: Path) -> None:
    record = json.loads((run / "splits.json").read_text())
    (run.parent / "images" / record["val"]["images"][0]).unlink()


def write_over(name: str, text: str) -> Callable[[Path], object]:
    return lambda run: (run / name).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_image, "the export is checked on the run's validation images, and"),
        (lambda run: (run.parent / "images").rename(run.parent / "moved"), "the images where the run found"),
        (lambda run: (run / "report.json").unlink(), "report.json: missing"),
        (write_over("report.json", "{"), "report.json: has 1 bytes"),
        (write_over("trained.json", "{"), "trained.json: has 1 bytes"),
        (write_over("model.safetensors", "cut"), "model.safetensors: has 3 bytes"),
    ],
)
def test_a_run_that_was_moved_or_damaged_is_told(
    spoil: Callable[[Path], object],
    message: str,
    from_files: Path,
    tmp_path: Path,
    call: Call,
) -> None:
    shutil.copytree(from_files.parent, tmp_path / "all")
    with contextlib.chdir(tmp_path / "all"):
        spoil(Path("run").resolve())
        code, _, err = call("export", "run")
    assert code == 2
    assert message in err and err.startswith("run")


def test_a_failed_check_keeps_what_was_trained(
    from_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    shutil.copytree(from_files.parent, tmp_path / "all")
    monkeypatch.chdir(tmp_path / "all")
    run, before = Path("run"), read_metadata(from_files)
    for name in ("report.json", "model.onnx"):
        (run / name).unlink()
    settings = json.loads((tmp_path / "all" / "settings.json").read_text())
    with monkeypatch.context() as broken:
        broken.setattr(comparison, "MAX_PROBABILITY_DIFFERENCE", -1.0)
        with pytest.raises(GraftError, match="export RUN --opset 18"):
            finetune.run(SPEC, data="images", set=settings, run=run, console=Console(quiet=True))
    report = json.loads((run / "report.json").read_text())
    assert report["metrics"]["accuracy"] > 0 and report["exports"] == {}
    finetune.run(SPEC, data="images", set=settings, run=run, console=Console(quiet=True))  # shows it
    code, _, err = call("export", run, "--opset", "99")
    assert code == 2 and "export.opset" in err
    monkeypatch.setattr(choose, "measure_speed", lambda *_: 2.0)
    code, out, _ = call("export", run, "--opset", "18", "--int8", "--float16")
    assert code == 0 and "same answers on 2 of 2 images" in out
    check_int8(run, out)
    check_float16(run, out)
    after = read_metadata(run)
    assert (after.labels, after.spec, after.metrics) == (before.labels, before.spec, before.metrics)
    assert json.loads((run / "report.json").read_text())["exports"]["onnx"]["file"] == "model.onnx"
    assert onnx.load(run / "model.onnx").opset_import[0].version == 18


def check_int8(run: Path, printed: str) -> None:
    """The int8 file fits the contract; in it the network but its head is quantised, and nothing else."""
    written = json.loads((run / "report.json").read_text())["exports"]["int8"]
    numbers = written["numbers"]
    assert written["file"] == "model.int8.onnx" and f"model.int8.onnx: {written['summary']}\n" in printed
    assert numbers["faster"] == 2 and (numbers["float_layers"], numbers["layers"]) == (1, 5)
    metadata, plain = read_metadata(run / "model.int8.onnx"), read_metadata(run)
    assert metadata.compared == {**numbers, "images": 4} and metadata.parity == {} and plain.compared == {}
    assert (metadata.labels, metadata.sets) == (plain.labels, plain.sets)
    assert metadata.unknown is not None and metadata.unknown.threshold == 1
    pixels = np.random.default_rng(0).integers(0, 256, (20, 9, 9, 3), np.uint8)
    found, expected = (Predictor(run / name).model(pixels) for name in ("model.int8.onnx", "model.onnx"))
    assert 0 < np.abs(found.answers - expected.answers).max() < 0.05
    graph = onnx.load(run / "model.int8.onnx").graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    layers = [[makers.get(name) for name in node.input[:2]] for node in graph.node if node.op_type == "Conv"]
    assert layers == [["DequantizeLinear"] * 2] * 2
    (head,) = (node for node in graph.node if node.op_type in ("Gemm", "MatMul") and "fc3" in node.input[1])
    assert makers.get(head.input[1]) is None
    users = {name: node.op_type for node in graph.node for name in node.input}
    assert users["image"] != "QuantizeLinear"


def check_float16(run: Path, printed: str) -> None:
    """The float16 file fits the contract, has half the weights' bytes and almost the same answers."""
    written = json.loads((run / "report.json").read_text())["exports"]["float16"]
    assert written["file"] == "model.float16.onnx" and f"float16.onnx: {written['summary']}\n" in printed
    metadata = read_metadata(run / "model.float16.onnx")
    assert metadata.compared == {**written["numbers"], "images": 4} and metadata.parity == {}
    pixels = np.random.default_rng(0).integers(0, 256, (20, 9, 9, 3), np.uint8)
    found, expected = (Predictor(run / name).model(pixels) for name in ("model.float16.onnx", "model.onnx"))
    assert 0 < np.abs(found.answers - expected.answers).max() < 1e-3
    tensors = onnx.load(run / "model.float16.onnx").graph.initializer
    half = {tensor.name for tensor in tensors if tensor.data_type == onnx.TensorProto.FLOAT16}
    names = ("conv1", "conv2", "fc1", "fc2", "fc3")
    assert half == {f"net.net.{name}.weight.float16" for name in names}


def test_int8_is_kept_only_where_it_pays(from_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.chdir(from_files.parent):
        run = load_run(from_files)
        assert export_int8(run) is None and export_float16(run) is None  # the spec does not ask for them
        run = replace(run, spec=zoo.override(run.spec, {"export.int8": "auto", "export.float16": "auto"}))
        (from_files / "model.int8.onnx").write_text("an older one")
        monkeypatch.setattr(choose, "measure_speed", lambda *_: 1.1)
        slow = export_int8(run)
        assert slow is not None and slow.file is None and slow.numbers["float_layers"] == 1
        assert "1.10 times as fast" in slow.summary and slow.summary.endswith("at most 0.5 points lost")
        monkeypatch.setattr(choose, "measure_speed", lambda *_: 2.0)
        monkeypatch.setattr(choose, "MOST_LOST", -2.0)  # so all shares of layers in float are tried
        monkeypatch.setattr(choose, "FLOAT_SHARES", (0.0, 0.5))
        wrong = export_int8(run)
        assert wrong is not None and wrong.file is None and "Not kept" in wrong.summary
        monkeypatch.setattr(float16, "MOST_LOST", -2.0)
        wrong = export_float16(run)
        assert wrong is not None and wrong.file is None and "Not kept" in wrong.summary
    assert not (from_files / "model.int8.onnx").exists()


def test_what_novelty_and_preprocessing_compute_is_no_part_of_the_network(digits_model: DigitsModel) -> None:
    model = onnx.load(digits_model.path)
    layers = find_layers(model)
    weights = {node.name: node.input[1] for node in model.graph.node if node.name in layers}
    assert [weights[name].split(".")[-2] for name in layers] == ["2", "4"]
    assert sum(node.op_type == "MatMul" for node in model.graph.node) > 0
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert [kinds[name] for name in find_network(model, layers)] == ["Gemm", "Relu", "Gemm"]
