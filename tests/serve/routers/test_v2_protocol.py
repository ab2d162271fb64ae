"""The open inference protocol, asked by Triton's own client, and by requests that no client sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from digits_kit import DigitsModel, MaskModel
from numpy.typing import NDArray
from server_kit import running
from starlette.testclient import TestClient
from tritonclient.utils import InferenceServerException

from serve.app import create_app
from serve.inference.tensors import MAX_BATCH, MAX_PARSED_BYTES
from serve.limits import ServerLimits
from serve.predictor import Predictor
from serve.registry import Registry
from serve.routers.tensors import MAX_JSON_NUMBERS

INFER = "/v2/models/digits_tiny/infer"


@pytest.fixture(scope="module")
def models(digits_model: DigitsModel, mask_model: MaskModel) -> Registry:
    return Registry([digits_model.path, mask_model.path])


@pytest.fixture(scope="module")
def client(models: Registry) -> Iterator[triton.InferenceServerClient]:
    limits = ServerLimits()
    with running(create_app(models, limits), limits) as (_, port):
        client = triton.InferenceServerClient(f"127.0.0.1:{port}")
        yield client
        client.close()


@pytest.fixture(scope="module")
def web(models: Registry) -> Iterator[TestClient]:
    with TestClient(create_app(models)) as client:
        yield client


def tensor(images: NDArray[np.uint8], *, binary: bool = True) -> list[triton.InferInput]:
    found = triton.InferInput("image", list(images.shape), "UINT8")
    found.set_data_from_numpy(images, binary_data=binary)
    return [found]


def test_tritons_client_sees_server_and_models(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert client.is_model_ready("digits_tiny")
    assert client.is_model_ready("digits_tiny", "1")
    assert not client.is_model_ready("digits_tiny", "2")
    assert not client.is_model_ready("cows")
    assert client.get_model_metadata("digits_tiny") == {
        "name": "digits_tiny",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
            {"name": "unknown", "datatype": "FP32", "shape": [-1]},
        ],
    }


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_gets_the_predictors_answers(
    client: triton.InferenceServerClient,
    digits_model: DigitsModel,
    digits: tuple[NDArray[np.uint8], object],
    binary: bool,
) -> None:
    images, predictor = digits[0][:6], Predictor(digits_model.path)
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("unknown", "probabilities")]
    inputs = tensor(images, binary=binary)
    answer = client.infer("digits_tiny", inputs, outputs=outputs, request_id="7", model_version="1")
    expected = predictor.predict(list(images))
    assert answer.as_numpy("probabilities") == pytest.approx(np.stack([one.output for one in expected]))
    assert answer.as_numpy("unknown") == pytest.approx([one.unknown for one in expected], rel=1e-5)
    about = answer.get_response()
    assert (about["model_name"], about["model_version"], about["id"]) == ("digits_tiny", "1", "7")


def test_without_named_outputs_all_come(client: triton.InferenceServerClient, mask_model: MaskModel) -> None:
    image = np.random.default_rng(2).integers(0, 256, (1, 30, 20, 3), dtype=np.uint8)
    answer = client.infer("segmenter", tensor(image))
    assert answer.as_numpy("mask").dtype == np.uint8
    assert (answer.as_numpy("mask")[0] == Predictor(mask_model.path).output(image[0])).all()


def test_a_mistake_reaches_tritons_client(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="at most 128 in one request"):
        client.infer("digits_tiny", tensor(np.zeros((MAX_BATCH + 1, 1, 1, 3), np.uint8)))
    with pytest.raises(InferenceServerException, match="expected one of: probabilities, unknown"):
        outputs = [triton.InferRequestedOutput("scores")]
        client.infer("digits_tiny", tensor(np.zeros((1, 2, 2, 3), np.uint8)), outputs=outputs)


def test_a_client_that_does_not_wait_is_told(client: triton.InferenceServerClient) -> None:
    images = np.zeros((MAX_BATCH, 100, 100, 3), np.uint8)
    with pytest.raises(InferenceServerException, match="the server is busy"):
        client.infer("digits_tiny", tensor(images), timeout=1)


def body(**changes: object) -> bytes:
    """A request for one black image of two pixels, with changes."""
    image = {"name": "image", "shape": [1, 1, 2, 3], "datatype": "UINT8", "data": [0] * 6}
    request = {"inputs": [image | changes.pop("image", {})]} | changes  # type: ignore[operator]
    return json.dumps(request).encode()


def test_json_alone_is_enough(web: TestClient) -> None:
    answer = web.post(INFER, content=body(image={"data": [[[[1, 2, 3], [4, 5, 255]]]]}))
    assert answer.status_code == 200
    first, second = answer.json()["outputs"]
    assert (first["name"], first["shape"], first["datatype"]) == ("probabilities", [1, 10], "FP32")
    assert sum(first["data"]) == pytest.approx(1, abs=1e-5)
    assert (second["name"], second["shape"]) == ("unknown", [1])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"milk, eggs", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[1]", "the request is not a JSON object"),
        (b"{}", "expected one input, 'image'"),
        (b" " * (MAX_PARSED_BYTES + 1), "4,194,305 bytes of JSON; at most 4,194,304"),
        (body(image={"name": "images"}), "the input is not image UINT8"),
        (body(image={"datatype": "FP32"}), "the input is not image UINT8"),
        (body(image={"shape": [1, 2, 3]}), "the input is not image UINT8"),
        (body(image={"shape": [1, 1, 2, 4]}), "the input has the shape [1, 1, 2, 4]"),
        (body(image={"shape": [0, 1, 2, 3]}), "the input has the shape [0, 1, 2, 3]"),
        (body(image={"shape": [True, 1, 2, 3]}), "the input has the shape [True, 1, 2, 3]"),
        (body(image={"shape": [1, 10**9, 2, 3]}), "6 values for a tensor of 6000000000"),
        (body(image={"shape": [1, 10**4000, 10**4000, 3]}), "the input has the shape [1, 1000"),
        (body(image={"data": [0] * 5}), "5 values for a tensor of 6"),
        (body(image={"data": [0] * 5 + [256]}), "data holds other values"),
        (body(image={"data": [0] * 5 + [-1]}), "data holds other values"),
        (body(image={"data": [0] * 5 + [0.5]}), "data holds other values"),
        (body(image={"data": [0] * 5 + [10**30]}), "data holds other values"),
        (body(image={"data": [True] * 6}), "data holds other values"),
        (body(image={"data": [[0] * 5, [1]]}), "data is not a list of numbers, or rows differ"),
        (body(image={"data": "AAAA"}), "the input has no data"),
        (body(image={"parameters": {"binary_data_size": 6}}), "binary_data_size is 6; 0 bytes came"),
        (body(parameters=[1]), "parameters is not a JSON object"),
        (body(parameters={"timeout": -1}), "timeout is not a whole number"),
        (body(parameters={"timeout": 10**400}), "timeout is not a whole number"),
        (body(id=7), "id is not a string"),
        (body(outputs={"name": "mask"}), "outputs is not a list"),
        (body(outputs=[{"name": "mask"}]), "no output 'mask'"),
        (
            body(outputs=[{"name": "unknown", "parameters": {"classification": 3}}]),
            "output unknown: no parameter",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_request_is_explained(web: TestClient, content: bytes, reason: str) -> None:
    answer = web.post(INFER, content=content)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(reason)


@pytest.mark.parametrize(("length", "status"), [("1000", 400), ("-1", 422), ("x", 422)])
def test_a_wrong_length_of_the_json(web: TestClient, length: str, status: int) -> None:
    answer = web.post(INFER, content=body(), headers={"inference-header-content-length": length})
    assert answer.status_code == status


def test_a_large_answer_is_sent_as_bytes_only(web: TestClient) -> None:
    size = [1, 1024, MAX_JSON_NUMBERS // 1024 + 1, 3]
    count = int(np.prod(size))
    head = body(image={"shape": size, "parameters": {"binary_data_size": count}, "data": None})
    headers = {"inference-header-content-length": str(len(head))}
    answer = web.post("/v2/models/segmenter/infer", content=head + bytes(count), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith("Ask for binary_data")


def test_models_that_are_not_there(web: TestClient, tmp_path: Path) -> None:
    answer = web.post("/v2/models/cows/infer", content=body())
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "no model 'cows'; expected one of: digits_tiny, segmenter"},
    )
    with TestClient(create_app(Registry([tmp_path]))) as empty:
        assert empty.get("/v2/health/ready").status_code == 503
        assert empty.get("/v2/health/live").status_code == 200
        assert empty.post("/predict", files={"files": b"x"}).json()["error"].startswith("no model")
