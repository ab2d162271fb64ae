"""The open inference protocol, version 2, over HTTP, as KServe and Triton speak it: tensors in and out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from pixels import ImageError
from serve.inference.models import ask, describe_model, describe_server, output_names
from serve.inference.tensors import TensorError
from serve.registry import Registry, Served
from serve.routers.tensors import read_request, write_answer
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
        return describe_server("binary_tensor_data")

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
        return describe_model(models, name, number)

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
    asked = read_request(body, json_size, output_names(model))
    about = {"model_name": model.name, "model_version": model.version}
    return write_answer(about, asked, ask(worker, model, asked, asked.deadline(deadline)))
