"""The open inference protocol over gRPC, asked by Triton's own client, and by calls that no client makes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from digits_kit import DigitsModel, MaskModel
from fastapi import FastAPI
from google.protobuf.json_format import MessageToDict
from numpy.typing import NDArray
from starlette.testclient import TestClient
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from pixels.cores import usable_cores
from serve.app import Access, create_app
from serve.inference.tensors import MAX_BATCH, MAX_PARSED_BYTES
from serve.limits import MEBIBYTE, ServerLimits
from serve.predictor import Predictor
from serve.registry import Registry

KEY = "k" * 20
BLACK = np.zeros((1, 1, 2, 3), np.uint8)


@dataclass
class Server:
    """One server, by gRPC and by HTTP."""

    app: FastAPI
    web: TestClient
    client: triton.InferenceServerClient
    stub: service_pb2_grpc.GRPCInferenceServiceStub
    channel: grpc.Channel

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """All turns are taken: calls wait."""
        with contextlib.ExitStack() as turns:
            for _ in range(usable_cores()):
                turns.enter_context(self.app.state.decoder.place(1))
            yield

    def wait_for_running(self, requests: int) -> None:
        """Wait until so many requests run or wait."""
        line, end = f"graft_queue_requests {float(requests)}", time.monotonic() + 10
        while line not in self.web.get("/metrics").text.splitlines():
            assert time.monotonic() < end
            time.sleep(0.01)


@contextlib.contextmanager
def serving(models: Registry, limits: ServerLimits | None = None, *keys: str) -> Iterator[Server]:
    app = create_app(models, limits, access=Access(keys), grpc_address=("127.0.0.1", 0))
    with contextlib.ExitStack() as clients, TestClient(app) as web:
        address = f"127.0.0.1:{app.state.rpc.port}"
        client = clients.enter_context(triton.InferenceServerClient(address))
        channel = clients.enter_context(grpc.insecure_channel(address))
        yield Server(app, web, client, service_pb2_grpc.GRPCInferenceServiceStub(channel), channel)


@pytest.fixture(scope="module")
def models(digits_model: DigitsModel, mask_model: MaskModel) -> Registry:
    return Registry([digits_model.path, mask_model.path])


@pytest.fixture(scope="module")
def server(models: Registry) -> Iterator[Server]:
    with serving(models) as server:
        yield server


def tensor(images: NDArray[np.uint8]) -> list[triton.InferInput]:
    return [triton.InferInput("image", list(images.shape), "UINT8").set_data_from_numpy(images)]


def call(**changes: Any) -> service_pb2.ModelInferRequest:  # noqa: ANN401
    """A request for one black image of two pixels, with changes to its message or its `image`."""
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 2, 3]} | changes.pop("image", {})
    message = {"model_name": "digits_tiny", "inputs": [image], "raw_input_contents": [bytes(6)]}
    return service_pb2.ModelInferRequest(**(message | changes))


def number(value: int) -> dict[str, service_pb2.InferParameter]:
    return {"timeout": service_pb2.InferParameter(int64_param=value)}


@contextlib.contextmanager
def refused(status: grpc.StatusCode, reason: str) -> Iterator[None]:
    """The call in the block ends with the status, and a text that begins so."""
    with pytest.raises((grpc.RpcError, InferenceServerException)) as caught:
        yield
    error: Any = caught.value
    if isinstance(error, InferenceServerException):
        found = error.status(), error.message()
    else:
        found = str(error.code()), error.details()
    assert found[0] == str(status), found
    assert found[1].startswith(reason), found


def test_server_and_models_are_described_as_over_http(server: Server) -> None:
    assert server.client.is_server_live()
    assert server.client.is_server_ready()
    about = MessageToDict(server.client.get_server_metadata())
    assert about == {key: server.web.get("/v2").json()[key] for key in ("name", "version")}
    assert server.client.is_model_ready("digits_tiny", "1")
    assert not server.client.is_model_ready("digits_tiny", "2")
    assert not server.client.is_model_ready("cows")
    found = server.client.get_model_metadata("segmenter", as_json=True)
    for each in (*found["inputs"], *found["outputs"]):
        each["shape"] = [int(side) for side in each["shape"]]
    assert found == server.web.get("/v2/models/segmenter").json()


def test_answers_are_those_of_http(server: Server, digits: tuple[NDArray[np.uint8], object]) -> None:
    images = digits[0][:6]
    image = {"name": "image", "datatype": "UINT8", "shape": list(images.shape), "data": images.tolist()}
    expected = server.web.post("/v2/models/digits_tiny/infer", json={"inputs": [image]}).json()["outputs"]
    answer = server.client.infer("digits_tiny", tensor(images), request_id="7", model_version="1")
    about = answer.get_response()
    assert (about.model_name, about.model_version, about.id) == ("digits_tiny", "1", "7")
    assert [output.name for output in about.outputs] == [each["name"] for each in expected]
    for each in expected:
        assert (answer.as_numpy(each["name"]).ravel() == np.float32(each["data"])).all()
        assert list(answer.as_numpy(each["name"]).shape) == each["shape"]
    typed = call(
        image={"shape": images.shape, "contents": {"uint_contents": images.ravel().tolist()}},
        raw_input_contents=[],
        outputs=[{"name": "unknown"}],
    )
    (raw,) = server.stub.ModelInfer(typed).raw_output_contents
    assert raw == answer.as_numpy("unknown").tobytes()


def test_a_mask_comes_as_bytes(server: Server, mask_model: MaskModel) -> None:
    image = np.random.default_rng(2).integers(0, 256, (1, 30, 20, 3), dtype=np.uint8)
    mask = server.client.infer("segmenter", tensor(image)).as_numpy("mask")
    assert mask.dtype == np.uint8
    assert (mask[0] == Predictor(mask_model.path).output(image[0])).all()


INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        (call(model_name="cows"), NOT_FOUND, "no model 'cows'; expected one of: digits_tiny, segmenter"),
        (call(model_version="2"), NOT_FOUND, "no version '2' of 'digits_tiny'; expected one of: 1"),
        (call(inputs=[]), INVALID, "expected one input, 'image'"),
        (call(image={"datatype": "FP32"}), INVALID, "the input is not image UINT8"),
        (call(image={"shape": [1, 2, 3]}), INVALID, "the input is not image UINT8"),
        (call(image={"shape": [1, -1, 2, 3]}), INVALID, "the input has the shape [1, -1, 2, 3]"),
        (call(image={"shape": [MAX_BATCH + 1, 1, 1, 3]}), INVALID, "a batch of 129 images; at most 128"),
        (call(image={"shape": [1, 2**31, 2**31, 3]}), INVALID, "6 values for a tensor of 1383505"),
        (call(raw_input_contents=[bytes(5)]), INVALID, "5 values for a tensor of 6"),
        (call(raw_input_contents=[]), INVALID, "the input has no data"),
        (call(raw_input_contents=[b"", b""]), INVALID, "2 raw_input_contents and 0 uint_contents came"),
        (
            call(image={"contents": {"uint_contents": [256] * 6}}, raw_input_contents=[]),
            INVALID,
            "data holds other values than whole numbers from 0 to 255",
        ),
        (call(parameters=number(-1)), INVALID, "timeout is not a whole number"),
        (call(parameters={"timeout": {"bool_param": True}}), INVALID, "timeout is not a whole number"),
        (call(outputs=[{"name": "mask"}]), INVALID, "no output 'mask'; expected one of: probabilities, unk"),
        (
            call(outputs=[{"name": "unknown", "parameters": {"classification": {"int64_param": 3}}}]),
            INVALID,
            "output unknown: no parameter 'classification'; expected none",
        ),
        (call(parameters=number(1)), grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in the time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_request_is_explained(
    server: Server, request_: service_pb2.ModelInferRequest, status: grpc.StatusCode, reason: str
) -> None:
    with refused(status, reason):
        server.stub.ModelInfer(request_)


def send_bytes(server: Server, content: bytes) -> None:
    server.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(content)


def test_what_costs_more_than_it_weighs_is_not_parsed(server: Server) -> None:
    inputs = service_pb2.ModelInferRequest.DESCRIPTOR.fields_by_name["inputs"].number << 3 | 2
    with refused(INVALID, "4,194,306 bytes of a message; at most 4,194,304 are read"):
        send_bytes(server, bytes([inputs, 0]) * (MAX_PARSED_BYTES // 2 + 1))
    with refused(INVALID, "the message is not a ModelInferRequest"):
        send_bytes(server, b"\xff" * 20)


def test_unknown_calls_are_unimplemented(server: Server) -> None:
    with refused(grpc.StatusCode.UNIMPLEMENTED, "Method not found"):
        server.client.load_model("digits_tiny")


def test_a_key_is_needed_except_for_health(models: Registry) -> None:
    with serving(models, None, KEY) as server:
        assert server.client.is_server_ready()
        for headers in ({}, {"authorization": "Bearer " + "x" * 20}):
            with refused(grpc.StatusCode.UNAUTHENTICATED, "a key is needed"):
                server.client.get_model_metadata("segmenter", headers=headers)
        for headers in ({"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}):
            assert server.client.infer("digits_tiny", tensor(BLACK), headers=headers)


def test_a_message_has_a_largest_size_and_a_time(models: Registry) -> None:
    with serving(models, ServerLimits(upload_mb=1, deadline_s=0.2)) as server:
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max"):
            send_bytes(server, bytes(MEBIBYTE + 1))
        assert 'path="ModelInfer",status="RESOURCE_EXHAUSTED"} 1.0' in server.web.get("/metrics").text
        send = server.channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
        never: Future[bytes] = Future()
        with refused(grpc.StatusCode.DEADLINE_EXCEEDED, "no complete message within 0.2 seconds"):
            send(each.result() for each in [never])
        never.set_result(b"")


def test_who_waits_too_long_is_told(models: Registry) -> None:
    with serving(models, ServerLimits(queue=1, deadline_s=0.4)) as server, server.busy():
        with refused(grpc.StatusCode.DEADLINE_EXCEEDED, ""):
            server.client.infer("digits_tiny", tensor(BLACK), client_timeout=0.1)
        server.wait_for_running(0)
        waiting = server.stub.ModelInfer.future(call())
        server.wait_for_running(1)
        with refused(grpc.StatusCode.UNAVAILABLE, "the server is busy; try again later"):
            server.stub.ModelInfer(call())
        assert server.web.post("/predict", files={"files": b"x"}).status_code == 503  # one queue
        assert waiting.code() == grpc.StatusCode.UNAVAILABLE
        assert ("grpc-retry-pushback-ms", "2000") in waiting.trailing_metadata()


def test_what_the_server_itself_does_wrong_is_internal(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr("serve.model.Model.__call__", fail)
    with refused(grpc.StatusCode.INTERNAL, "the server failed: KeyError"):
        server.stub.ModelInfer(call())
    assert "a mistake of ours" in caplog.text


def test_calls_are_counted_and_have_an_id(server: Server) -> None:
    with refused(NOT_FOUND, ""):
        server.client.get_model_metadata("cows")
    server.client.is_server_live()
    text = server.web.get("/metrics").text
    assert 'graft_requests_total{method="grpc",path="ModelMetadata",status="NOT_FOUND"}' in text
    assert 'graft_requests_total{method="grpc",path="ServerLive",status="OK"}' in text
    done = server.stub.ModelInfer.with_call(call(), metadata=[("x-request-id", "seven")])[1]
    assert ("x-request-id", "seven") in done.trailing_metadata()


def test_the_end_answers_what_was_accepted(models: Registry) -> None:
    with contextlib.ExitStack() as turns, serving(models) as server:
        turns.enter_context(server.busy())
        accepted = server.stub.ModelInfer.future(call())
        server.wait_for_running(1)
        ending = server.web.portal.start_task_soon(server.app.state.rpc.stop)
        until, status = time.monotonic() + 10, None
        while status != grpc.StatusCode.UNAVAILABLE and time.monotonic() < until:
            try:  # the client may learn of the end a moment later, and a call at that moment is cancelled
                server.stub.ServerLive(service_pb2.ServerLiveRequest())
            except grpc.RpcError as error:
                status = error.code()
        assert status == grpc.StatusCode.UNAVAILABLE
        assert not accepted.done()
        turns.close()
        assert accepted.result().model_name == "digits_tiny"
        ending.result()
