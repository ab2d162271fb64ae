"""Folders for Triton and KServe: valid by Triton's own schema, and read back by our server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from call_kit import Call
from digits_kit import DigitsModel, MaskModel
from google.protobuf import text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2 as triton_schema

from serve.layouts.servers import kserve_service
from serve.predictor import Predictor
from serve.registry import Registry

ROOT = Path(__file__).resolve().parents[2]


def test_triton_reads_the_folder(call: Call, digits_model: DigitsModel, tmp_path: Path) -> None:
    out = tmp_path / "models"
    code, printed, err = call("export", digits_model.folder, "--layout", "triton", "--out", out)
    path = out / "digits_tiny" / "1" / "model.onnx"
    assert (code, printed, err) == (0, f"{path}: a copy of the checked file\n", "")
    assert path.read_bytes() == digits_model.path.read_bytes()
    text = (out / "digits_tiny" / "config.pbtxt").read_text()
    config = text_format.Parse(text, triton_schema.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("digits_tiny", "onnxruntime", 0)
    [image], [probabilities, unknown] = config.input, config.output
    assert (image.name, list(image.dims)) == ("image", [-1, -1, -1, 3])
    assert image.data_type == triton_schema.TYPE_UINT8
    assert (probabilities.name, list(probabilities.dims)) == ("probabilities", [-1, 10])
    assert probabilities.data_type == unknown.data_type == triton_schema.TYPE_FP32
    assert (unknown.name, list(unknown.dims)) == ("unknown", [-1])
    labels = (path.parents[1] / probabilities.label_filename).read_text().splitlines()
    assert labels == list(digits_model_labels(path))


def digits_model_labels(path: Path) -> tuple[str, ...]:
    return Predictor(path).labels


def test_a_mask_for_triton(call: Call, mask_model: MaskModel, tmp_path: Path) -> None:
    assert call("export", mask_model.path, "--layout", "triton", "--out", tmp_path, "--name", "sea")[0] == 0
    config = text_format.Parse((tmp_path / "sea" / "config.pbtxt").read_text(), triton_schema.ModelConfig())
    [mask] = config.output
    assert (mask.name, list(mask.dims), mask.label_filename) == ("mask", [-1, -1, -1], "")
    assert mask.data_type == triton_schema.TYPE_UINT8


@pytest.mark.parametrize("layout", ["triton", "kserve"])
def test_our_server_reads_the_folder_and_each_new_version(
    call: Call,
    digits_model: DigitsModel,
    digits: tuple[NDArray[np.uint8], object],
    tmp_path: Path,
    layout: str,
) -> None:
    arguments = ("export", digits_model.folder, "--layout", layout, "--out", tmp_path, "--name", "digits")
    call(*arguments)
    call(*arguments)
    registry = Registry([tmp_path], versions=2)
    assert {name: list(found) for name, found in registry.models.items()} == {"digits": ["2", "1"]}
    image = digits[0][0]
    assert registry.find("digits", "1").predictor(image) == Predictor(digits_model.path)(image)


def test_the_service_of_kserve(call: Call, digits_model: DigitsModel, tmp_path: Path) -> None:
    assert call("export", digits_model.folder, "--layout", "kserve", "--out", tmp_path)[0] == 0
    found = yaml.safe_load((tmp_path / "inference-service.yaml").read_text())
    assert (found["kind"], found["metadata"]["name"]) == ("InferenceService", "digits-tiny")
    assert (ROOT / "deploy" / "kserve.yaml").read_text() == kserve_service("photos")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--layout", "web2"], "--layout: found 'web2'; expected triton, kserve or web"),
        (["--layout", "triton", "--name", "../x"], "'../x' cannot name a model here"),
        (["--out", "x"], "--out and --name are for --layout"),
        (
            ["--layout", "triton", "--opset", "18"],
            "--opset, --int8 and --float16 write files again; without --layout",
        ),
    ],
)
def test_mistakes(call: Call, digits_model: DigitsModel, options: list[str], reason: str) -> None:
    code, out, err = call("export", digits_model.folder, *options)
    assert (code, out) == (2, "")
    assert err.startswith(reason)


def test_a_folder_that_cannot_be_written(call: Call, digits_model: DigitsModel, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "models"
    code, _, err = call("export", digits_model.folder, "--layout", "triton", "--out", out)
    assert (code, err) == (2, f"{out / 'digits_tiny'}: cannot be written: Not a directory. See --out\n")
