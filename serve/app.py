"""The HTTP application: the routers over loaded models, limits, and errors as JSON."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as HTTPError
from starlette.formparsers import MultiPartParser

from pixels.errors import BusyError
from pixels.limits import DecodeLimits
from pixels.pool import Decoder
from serve.artifact import ArtifactError
from serve.http.admission import Admission, busy_response
from serve.limits import MEBIBYTE, ServerLimits
from serve.predictor import Predictor
from serve.routers.native import Models, native_router
from serve.trial import try_model

DEFAULT_LIMITS = ServerLimits()


def create_app(
    models: Models, limits: ServerLimits = DEFAULT_LIMITS, decode_limits: DecodeLimits | None = None
) -> FastAPI:
    """Return the web application for loaded models, the first of which answers if a request names none.

    Its `state.decoder` decodes the images; closing that ends every request soon.
    """
    decoder = Decoder(decode_limits)

    @contextlib.asynccontextmanager
    async def decoding(_app: FastAPI) -> AsyncIterator[None]:
        decoder.start()
        yield
        decoder.close()

    # The pages of the documentation would load scripts from other hosts.
    app = FastAPI(title="Graft", docs_url=None, redoc_url=None, lifespan=decoding)
    app.state.decoder = decoder
    app.include_router(native_router(models, decoder))
    app.add_middleware(Admission, limits=limits)
    app.add_exception_handler(HTTPError, _answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(BusyError, lambda _request, _error: busy_response(limits))
    app.add_exception_handler(Exception, _answer_failure)
    MultiPartParser.spool_max_size = limits.upload_mb * MEBIBYTE  # uploads are never written to disk
    return app


def load_models(
    paths: Sequence[str | Path], threads: int | None = None
) -> tuple[dict[str, Predictor], list[ArtifactError]]:
    """Load models, named after their specs; a second one of the same spec gets a number.

    Out: the models, and an error for each path that holds none of Graft's.
    """
    models: dict[str, Predictor] = {}
    refused = []
    for path in paths:
        try:
            try_model(path)
            predictor = Predictor(path, threads)
        except ArtifactError as error:
            refused.append(error)
            continue
        name = stem = predictor.metadata.spec or predictor.path.stem
        number = 1
        while name in models:
            number += 1
            name = f"{stem}-{number}"
        models[name] = predictor
    return models, refused


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
