"""Calls over gRPC, damaged: a status that is not the server's fault; and the server goes on."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from bench.fuzz.case import Case, Kind, WrongError
from bench.fuzz.kinds.requests import WAIT_S, free_port
from bench.fuzz.kinds.small import PROPERTIES, write_model
from bench.fuzz.mutate import NUMBERS, TEXTS, damage
from serve.app import create_app
from serve.http.server import make_server
from serve.limits import ServerLimits
from serve.registry import Registry

CALLS = (
    "ModelInfer",
    "ModelInfer",
    "ModelInfer",
    "ModelMetadata",
    "ModelReady",
    "ServerReady",
    "ModelConfig",
)
SERVICE = "/inference.GRPCInferenceService"
FAULTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)
SIDES = (-1, 0, 1, 2, 3, 7, 2**31, 2**63 - 1)


def _prepare(folder: Path) -> None:
    write_model(folder / "model.onnx", PROPERTIES)


def _open(folder: Path) -> Case:
    limits, port = ServerLimits(), free_port()
    application = create_app(
        Registry([folder / "model.onnx"], threads=1), limits, grpc_address=("127.0.0.1", 0)
    )
    server = make_server(application, limits, host="127.0.0.1", port=port, log_level="critical")
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    channel = grpc.insecure_channel(f"127.0.0.1:{application.state.rpc.port}")

    def ask(call: str, message: bytes) -> Any:  # noqa: ANN401
        try:
            channel.unary_unary(f"{SERVICE}/{call}")(message, timeout=WAIT_S)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    def check(draw: random.Random, _empty: Path) -> str:
        message = _draw(draw).SerializeToString()
        status = ask(draw.choice(CALLS), damage(message, draw) if draw.random() < 0.5 else message)
        if status in FAULTS:
            raise WrongError(f"status {status.name}")
        if (live := ask("ServerLive", b"")) != grpc.StatusCode.OK:
            raise WrongError(f"ServerLive answers {live.name}")
        return str(status.name)

    return check


def _draw(draw: random.Random) -> Any:  # noqa: ANN401
    """A ModelInferRequest, in which some values are others."""

    def or_odd(value: Any, odd: Any) -> Any:  # noqa: ANN401
        return value if draw.random() < 0.9 else draw.choice(odd)

    texts = [text for text in TEXTS if text.isprintable()]
    height, width = draw.choice(((1, 2), (30, 20), (400, 400)))
    pixels = draw.randbytes(height * width * 3)
    shape = [or_odd(1, SIDES), or_odd(height, SIDES), width, or_odd(3, SIDES)]
    image = {"name": or_odd("image", texts), "datatype": or_odd("UINT8", texts), "shape": shape}
    raw = [pixels]
    if draw.random() < 0.3:
        numbers = [or_odd(value, (256, 2**32 - 1)) for value in pixels[:10]]
        image["contents"] = {"uint_contents": [*numbers, *pixels[10:]]}
        raw = or_odd([], ([pixels], [b""]))
    kind = draw.choice(("int64_param", "bool_param", "string_param"))
    odd = {"int64_param": draw.choice(NUMBERS[:8]), "bool_param": True, "string_param": draw.choice(texts)}
    return service_pb2.ModelInferRequest(
        model_name=or_odd("small", texts),
        model_version=or_odd("", texts),
        id=or_odd("7", texts),
        parameters={or_odd("timeout", texts): or_odd({"int64_param": 10**7}, [{kind: odd[kind]}])},
        inputs=or_odd([image], ([], [image, image])),
        outputs=or_odd([], ([{"name": draw.choice(texts)}], [{"name": "probabilities"}] * 3)),
        raw_input_contents=raw,
    )


KIND = Kind("calls", 2000, _prepare, _open)
