"""The open inference protocol, version 2, over HTTP, as KServe and Triton speak it: tensors in and out."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from pixels import ImageError
from serve.artifact import CHANNELS, INPUT, UNKNOWN
from serve.registry import Registry, Served
from serve.routers.tensors import DATATYPES, InferRequest, TensorError, read_request, write_answer
from serve.tasks import Output
from serve.worker import Worker

JSON_LENGTH = "inference-header-content-length"
BODY = {
    "requestBody": {
        "content": {"application/json": {"schema": {"type": "object"}}, "application/octet-stream": {}},
        "required": True,
    }
}


def v2_router(models: Registry, worker: Worker) -> APIRouter:
    """Return the endpoints of the protocol. Errors are `{"error": text}`, as everywhere in Graft."""
    router = APIRouter(prefix="/v2", tags=["open inference protocol"])
    one, one_version = "/models/{name}", "/models/{name}/versions/{number}"

    @router.get("")
    async def show_server() -> dict[str, object]:
        """Name and version of the server, and the extensions of the protocol."""
        return {"name": "graft", "version": version("graft-zoo"), "extensions": ["binary_tensor_data"]}

    @router.get("/health/live")
    async def is_live() -> dict[str, bool]:
        """The server is running."""
        return {"live": True}

    @router.get("/health/ready")
    async def is_ready() -> JSONResponse:
        """Whether models are loaded; 503 if none is."""
        ready = bool(models.models)
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    @router.get(one)
    @router.get(one_version)
    async def show_model(name: str, number: str | None = None) -> dict[str, Any]:
        """Inputs and outputs of a model; -1 stands for any size."""
        model = models.find(name, number)
        return {
            "name": name,
            "versions": list(models.models[name]),
            "platform": "onnxruntime_onnx",
            "inputs": [_describe(INPUT, [-1, -1, -1, CHANNELS])],
            "outputs": [_describe(output, _shape(model, output)) for output in _outputs(model)],
        }

    @router.get(f"{one}/ready")
    @router.get(f"{one_version}/ready")
    async def is_model_ready(name: str, number: str | None = None) -> dict[str, object]:
        """The model is loaded; 404 if it is not."""
        return {"name": models.find(name, number).name, "ready": True}

    @router.post(f"{one}/infer", response_class=Response, openapi_extra=BODY)
    @router.post(f"{one_version}/infer", response_class=Response, openapi_extra=BODY)
    async def infer(
        request: Request,
        name: str,
        number: str | None = None,
        inference_header_content_length: Annotated[int | None, Header(ge=1)] = None,
    ) -> Response:
        """The model's outputs for a batch of images, UINT8 [batch, height, width, 3]."""
        model, body = models.find(name, number), await request.body()
        deadline = float(request.scope["deadline"])
        try:
            content, json_size = await run_in_threadpool(
                _infer, worker, model, body, inference_header_content_length, deadline
            )
        except (TensorError, ImageError) as error:
            raise HTTPException(400, str(error)) from error
        return _respond(content, json_size)

    return router


def _respond(content: bytes, json_size: int | None) -> Response:
    """Return the answer: JSON, or so many bytes of JSON and then tensors."""
    if json_size is None:
        return Response(content, media_type="application/json")
    headers = {JSON_LENGTH: str(json_size)}
    return Response(content, media_type="application/octet-stream", headers=headers)


def _infer(
    worker: Worker, model: Served, body: bytes, json_size: int | None, deadline: float
) -> tuple[bytes, int | None]:
    asked = read_request(body, json_size, [output.name for output in _outputs(model)])
    if asked.timeout_s is not None:
        deadline = min(deadline, time.monotonic() + asked.timeout_s)
    about = {"model_name": model.name, "model_version": model.version}
    return write_answer(about, asked, _run(worker, model, asked, deadline))


def _run(
    worker: Worker, model: Served, asked: InferRequest, deadline: float
) -> dict[str, np.ndarray[Any, Any]]:
    worker.begin(model, len(asked.images))
    found = list(worker.run(model, asked.images, deadline))
    arrays = {model.predictor.task.output.name: np.concatenate([each.answers for each in found])}
    unknown = [each.unknown for each in found if each.unknown is not None]
    return arrays | ({UNKNOWN.name: np.concatenate(unknown)} if unknown else {})


def _outputs(model: Served) -> list[Output]:
    unknown = model.predictor.metadata.unknown
    return [model.predictor.task.output, *([] if unknown is None else [UNKNOWN])]


def _shape(model: Served, output: Output) -> list[int]:
    """Return the shape of an output; that of one number for each class ends with their number."""
    if output.rank == 2:  # noqa: PLR2004  batch and classes
        return [-1, len(model.predictor.labels)]
    return [-1] * output.rank


def _describe(tensor: Output, shape: list[int]) -> dict[str, object]:
    return {"name": tensor.name, "datatype": DATATYPES[tensor.dtype], "shape": shape}
