"""The calls of the open inference protocol over gRPC, by name."""

from __future__ import annotations

import time
from typing import Any

from google.protobuf.message import Message
from tritonclient.grpc import service_pb2

from pixels.errors import BusyError
from serve.inference.models import ask, describe_model, describe_server, output_names
from serve.inference.tensors import InferRequest
from serve.registry import Registry, Served, UnknownModelError
from serve.rpc.messages import parse, read_request, write_answer
from serve.worker import Worker

INFER = "ModelInfer"
OPEN = frozenset({"ServerLive", "ServerReady"})
"""Calls that need no key: a supervisor makes them."""


class LateError(BusyError):
    """There was no answer in the time that the client gave."""


class Calls:
    """Answers for loaded models. Messages are bytes, both ways.

    Raises: UnknownModelError; TensorError; ImageError if the model cannot answer; BusyError, or LateError.
    """

    def __init__(self, models: Registry, worker: Worker) -> None:
        self._models, self._worker = models, worker
        self._quick = {
            "ServerLive": lambda _: service_pb2.ServerLiveResponse(live=True),
            "ServerReady": lambda _: service_pb2.ServerReadyResponse(ready=bool(models.models)),
            "ServerMetadata": lambda _: service_pb2.ServerMetadataResponse(**describe_server()),
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
        }
        self.names = (*self._quick, INFER)

    def answer(self, name: str, content: bytes) -> bytes:
        """Answer a call that needs no model to run."""
        request = parse(getattr(service_pb2, f"{name}Request"), content)
        return bytes(self._quick[name](request).SerializeToString())

    def read(self, content: bytes) -> tuple[Served, InferRequest]:
        """Read a ModelInferRequest, in a thread. Out: the model, and what it is asked."""
        request: Any = parse(service_pb2.ModelInferRequest, content)
        model = self._models.find(request.model_name, request.model_version or None)
        return model, read_request(request, output_names(model))

    def infer(self, model: Served, asked: InferRequest, client_deadline: float, deadline: float) -> bytes:
        """Answer it, in a thread, until the first of two times by `time.monotonic`."""
        client_deadline = asked.deadline(client_deadline)
        try:
            arrays = ask(self._worker, model, asked, min(client_deadline, deadline))
        except BusyError as error:
            if time.monotonic() >= client_deadline:
                raise LateError from error
            raise
        return write_answer(model, asked, arrays)

    def _model_ready(self, request: Any) -> Message:  # noqa: ANN401
        try:
            self._models.find(request.name, request.version or None)
        except UnknownModelError:
            return service_pb2.ModelReadyResponse(ready=False)
        return service_pb2.ModelReadyResponse(ready=True)

    def _model_metadata(self, request: Any) -> Message:  # noqa: ANN401
        about = describe_model(self._models, request.name, request.version or None)
        return service_pb2.ModelMetadataResponse(**about)
