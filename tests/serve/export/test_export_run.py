"""The exporter as training calls it, on a short but whole run, and `graft export RUN` after it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from call_kit import Call
from PIL import Image
from rich.console import Console

import finetune
from finetune.finished import load_run, write_run_page
from finetune.models.calibrated import CalibratedNet
from serve.artifact import UnknownLimit
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
    code, out, _ = call("export", run, "--opset", "18")
    assert code == 0 and "same answers on 2 of 2 images" in out
    after = read_metadata(run)
    assert (after.labels, after.spec, after.metrics) == (before.labels, before.spec, before.metrics)
    assert json.loads((run / "report.json").read_text())["exports"]["onnx"]["file"] == "model.onnx"
    assert onnx.load(run / "model.onnx").opset_import[0].version == 18
