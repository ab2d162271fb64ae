"""The exporter as training calls it, on a short but whole run, and `python -m serve export RUN` after it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

import finetune
from finetune.pipeline import FinishedRun, load_run
from serve.__main__ import main
from serve.artifact import read_metadata
from serve.export import describe_run

SPEC = Path(__file__).parents[2] / "specs" / "lenet5.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one epoch over the built-in digits."""
    path = tmp_path_factory.mktemp("exported") / "runs" / "lenet5" / "20260101-000000"
    settings = {"finetune.epochs": 1, "finetune.strategy": "scratch", "export.parity_images": 25}
    finetune.run(SPEC, set=settings, run=path, console=Console(quiet=True))
    return path


@pytest.fixture(scope="module")
def finished(folder: Path) -> FinishedRun:
    return load_run(folder)


def test_artifact_tells_of_its_run(folder: Path, finished: FinishedRun) -> None:
    metadata = read_metadata(folder)
    report = json.loads((folder / "report.json").read_text())
    assert metadata.labels == tuple("0123456789")
    assert (metadata.spec, metadata.task) == ("lenet5", "classification")
    assert metadata.metrics["accuracy"] == report["metrics"]["accuracy"]
    assert metadata.spec_sha256 == finished.spec.sha256
    assert report["exports"]["onnx"]["images"] == 25
    assert metadata.parity["images"] == 25


def test_lists_and_objects_stay_out_of_the_metadata(finished: FinishedRun) -> None:
    about = describe_run(finished)
    assert all(isinstance(value, float) for value in about.metrics.values())
    assert all(isinstance(value, str | int) for value in about.weights.values())


def test_export_again_from_the_command_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_metadata(folder)
    (folder / "model.onnx").unlink()
    monkeypatch.setattr(sys, "argv", ["serve", "export", str(folder)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    assert capsys.readouterr().out.startswith(f"{folder / 'model.onnx'}: 25 validation images answered as by")
    after = read_metadata(folder)
    assert (after.labels, after.spec_sha256, after.metrics) == (
        before.labels,
        before.spec_sha256,
        before.metrics,
    )
