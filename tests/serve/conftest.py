"""A classifier of handwritten digits and a small segmenter, exported once for all tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from call_kit import Call
from digits_kit import DIGITS, ONNX_WEB, DigitsModel, MaskModel, digit_images, smooth_images, train
from novelty_kit import fit_novelty
from numpy.typing import NDArray
from torch import nn

from finetune.models.calibrated import CalibratedNet, catch_head_input
from finetune.transforms.preprocess import Preprocess
from serve.__main__ import app
from serve.artifact import Metadata, SetLimit, UnknownLimit
from serve.export import export_onnx

HEAD, TEMPERATURE, SET_PROBABILITY = "4", 1.5, 0.3


@pytest.fixture(scope="session")
def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The last 297 images, which no network here was trained on."""
    images, targets = digit_images()
    return images[1500:], targets[1500:]


@pytest.fixture(scope="session")
def digits_model(tmp_path_factory: pytest.TempPathFactory) -> DigitsModel:
    images, targets = digit_images()
    preprocess = Preprocess(height=16, width=16, channels=1, mean=[0.7], std=[0.35])
    net = calibrated(train(preprocess, images[:1500], targets[:1500]), preprocess, images)
    with torch.no_grad():
        answers = net(preprocess(torch.from_numpy(images[1500:]))).argmax(1).numpy()
    accuracy = float((answers == targets[1500:]).mean())
    runs = tmp_path_factory.mktemp("served") / "runs"
    folder = runs / "digits_tiny" / "20260102-030405"
    metadata = Metadata(
        task="classification",
        labels=DIGITS,
        spec="digits_tiny",
        spec_sha256="f00d" * 16,
        metrics={"accuracy": accuracy},
        weights={"origin": "a test's own training", "licence": "Apache-2.0"},
        created="2026-01-02T03:04:05+00:00",
        graft_version="0.1.0",
        unknown=UnknownLimit(1.0, 0.95),
        sets=SetLimit(SET_PROBABILITY, 0.9),
    )
    parity = export_onnx(
        net, preprocess, DIGITS, folder / "model.onnx", metadata=metadata, images=images[1500:1600]
    )
    return DigitsModel(runs, folder, net, preprocess, parity, accuracy)


def calibrated(net: nn.Module, preprocess: Preprocess, images: NDArray[np.uint8]) -> CalibratedNet:
    """The network with a temperature, and with the limit for unknown images."""
    with torch.no_grad(), catch_head_input(net, HEAD, (16, 16)) as caught:
        net(preprocess(torch.from_numpy(images)))
    features = caught[0].numpy()
    return CalibratedNet(net, HEAD, TEMPERATURE, fit_novelty(features[:500], features[1500:], kept=0.95))


@pytest.fixture(scope="session")
def mask_model(tmp_path_factory: pytest.TempPathFactory) -> MaskModel:
    net = nn.Conv2d(3, 3, 1)
    with torch.no_grad():  # the class of a pixel is its brightest channel
        net.weight.copy_(torch.eye(3)[:, :, None, None])
        net.bias.zero_()
    model = MaskModel(
        tmp_path_factory.mktemp("mask") / "segmenter.onnx", net, Preprocess(height=32, width=48)
    )
    export_onnx(net, model.preprocess, model.labels, model.path, images=smooth_images(), task="segmentation")
    return model


@pytest.fixture(scope="session")
def node() -> str:
    """Node with onnxruntime-web beside the script; fetched by npm where it is not there yet.

    Skips where there is no Node, or no network to fetch it; GRAFT_REQUIRE_NODE=1 makes that a failure.
    """
    give_up = pytest.fail if os.environ.get("GRAFT_REQUIRE_NODE") == "1" else pytest.skip
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        give_up("node and npm are not installed; the WebAssembly check needs both")
    assert program is not None
    assert npm is not None
    if not (ONNX_WEB / "node_modules").exists():
        try:
            fetch_onnx_web(npm)
        except subprocess.TimeoutExpired:
            give_up("npm ci did not fetch onnxruntime-web within a minute; the WebAssembly check needs it")
        except subprocess.CalledProcessError as error:
            give_up(f"npm ci could not fetch onnxruntime-web: {error.stderr.strip()[-300:]}")
    return program


def fetch_onnx_web(npm: str) -> None:
    """Install what the lock names beside the script and move it there whole: tests may run side by side."""
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    with tempfile.TemporaryDirectory(dir=ONNX_WEB) as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ONNX_WEB / name, folder)
        subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
        with contextlib.suppress(OSError):  # another process was first
            (Path(folder) / "node_modules").rename(ONNX_WEB / "node_modules")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in this process: exit code, stdout, stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["serve", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            app()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run
