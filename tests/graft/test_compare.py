"""`graft compare`: a table and a picture of networks on the user's images, measured once."""

from __future__ import annotations

from pathlib import Path

import pytest
from networks_kit import write_networks, write_photos
from PIL import Image
from typer.testing import CliRunner

from finetune.records.estimate import Estimate
from finetune.records.evidence import Forecast
from finetune.records.files import read_record
from finetune.records.network import NetworkScore
from finetune.runtime.console import Terminal
from graft.__main__ import app
from graft.compare.measure import COMPARED, Compared
from graft.compare.show import find_trade_offs, show_comparison
from serve.predictor import Predictor
from zoo.errors import GraftError


def compared(name: str, accuracy: float, file_ms: float) -> Compared:
    score = NetworkScore(name, "w", "", 1, 100, Estimate(accuracy, 0.01))
    return Compared(score, Forecast(1, 1.0, 1.0), 1.0, file_ms, "run")


def test_networks_are_compared_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    write_networks(tmp_path)
    photos = str(write_photos(tmp_path))
    monkeypatch.chdir(tmp_path)
    quick = ["--set", "finetune.precision=float32", "--set", "export.parity_images=4"]
    arguments = ["compare", "seeing.yaml", "--data", photos, *quick]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert f"graft finetune seeing.yaml --data {photos} --set" in result.output
    (folder,) = (tmp_path / "runs/compare").iterdir()
    assert folder.name.startswith("photos-")
    with Image.open(folder / "compare.png") as plot:
        assert plot.size[0] > 500
    network = read_record(folder / "seeing.json", COMPARED)
    assert network.score.accuracy and network.score.accuracy.value > 0.9
    assert network.training and network.training.minutes > 0
    assert network.run and Predictor(network.run)(Path(photos) / "class_001" / "0.png")[0][0] == "class_001"
    monkeypatch.setattr("graft.compare.measure.measure_network", lambda *_, **__: pytest.fail("known"))
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).output == result.output


def test_the_table_fits_a_terminal_and_marks_what_is_worth_choosing_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    absent = Compared(NetworkScore("mobilenet_v3_large", "none", "", 0, left_out="no weights"))
    networks = [compared("efficientnet_lite0", 0.984, 21.34), compared("resnet_small", 0.98, 30.0), absent]
    assert show_comparison(networks, Terminal(width=80)).spec == "efficientnet_lite0"
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["*", "efficientnet_lite0", "98.4%", "93.6", "to", "99.6", "1.0", "21.3", "1", "1.0"] in rows
    assert ["resnet_small", "98.0%", "93.0", "to", "99.4", "1.0", "30.0", "1", "1.0"] in rows
    assert ["left", "out:", "mobilenet_v3_large:", "no", "weights"] in rows


def test_the_best_trade_offs_are_beaten_by_no_other_network() -> None:
    networks = [
        compared("a", 0.8, 2.0),
        compared("b", 0.9, 8.0),
        compared("c", 0.85, 9.0),
        compared("d", 0.8, 3.0),
    ]
    assert find_trade_offs(networks) == ("a", "b")


def test_without_spec_and_images_there_is_nothing_to_train() -> None:
    result = CliRunner().invoke(app, ["finetune"])
    assert isinstance(result.exception, GraftError)
    assert "--data FOLDER" in str(result.exception)
