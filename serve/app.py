"""The HTTP application: the routers over loaded models, limits, and errors as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException as HTTPError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.predictor import Predictor
from serve.routers.native import Models, native_router

MEBIBYTE = 2**20
MAX_UPLOAD_MB = 32


def create_app(models: Models, max_upload_mb: int = MAX_UPLOAD_MB) -> FastAPI:
    """Return the web application for loaded models, the first of which answers if a request names none."""
    app = FastAPI(title="Graft", docs_url=None, redoc_url=None)  # these pages load scripts from other hosts
    app.include_router(native_router(models))
    app.add_middleware(LimitBody, max_bytes=max_upload_mb * MEBIBYTE)
    app.add_exception_handler(HTTPError, _answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(Exception, _answer_failure)
    return app


def load_models(paths: Sequence[str | Path], threads: int | None = None) -> dict[str, Predictor]:
    """Load models, named after their specs; a second one of the same spec gets a number.

    Raises: ArtifactError if a path holds no model of Graft's.
    """
    models: dict[str, Predictor] = {}
    for path in paths:
        predictor = Predictor(path, threads)
        name = stem = predictor.metadata.spec or predictor.path.stem
        number = 1
        while name in models:
            number += 1
            name = f"{stem}-{number}"
        models[name] = predictor
    return models


def _answer_http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPError)
    return JSONResponse({"error": error.detail}, status_code=error.status_code)


def _answer_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    reasons = []
    for one in error.errors():
        field, message = ".".join(map(str, one["loc"][1:])), one["msg"]
        if "UploadFile" in message:
            message = f"found text, expected a file; with curl: -F {one['loc'][1]}=@image.jpg"
        reasons.append(f"{field}: {message}")
    return JSONResponse({"error": "; ".join(reasons)}, status_code=422)


def _answer_failure(_request: Request, error: Exception) -> JSONResponse:
    """Answer for a fault of the server, which also writes it to its log."""
    return JSONResponse({"error": f"the server failed: {type(error).__name__}"}, status_code=500)


class LimitBody:
    """ASGI middleware: a request body over `max_bytes` gets 413, whether or not its length is declared."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count its bytes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        message = f"upload too large: at most {self.max_bytes / MEBIBYTE:g} MiB in one request"
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length) > self.max_bytes:
            await JSONResponse({"error": message}, status_code=413)(scope, receive, send)
            return
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            part = await receive()
            received += len(part.get("body", b""))
            if received > self.max_bytes:
                raise HTTPException(413, message)
            return part

        await self.app(scope, receive_limited, send)
