"""The HTTP application: the routers over loaded models, limits, and errors as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException as HTTPError
from starlette.formparsers import MultiPartParser
from starlette.middleware.cors import CORSMiddleware

from pixels.cores import usable_cores
from pixels.errors import BusyError
from pixels.limits import DecodeLimits
from pixels.pool import Decoder
from serve.http.admission import Admission, Load, busy_response
from serve.http.keys import Keys
from serve.http.observe import REQUEST_ID, Observe
from serve.limits import MEBIBYTE, ServerLimits
from serve.metrics import Metrics
from serve.registry import Registry, UnknownModelError
from serve.routers.native import native_router
from serve.routers.v2 import JSON_LENGTH, v2_router
from serve.worker import Worker

OPEN_PATHS = frozenset({"/health", "/v2/health/live", "/v2/health/ready"})
"""They need no key: a supervisor asks them."""
LOOK_S = 1.0
"""How often the server looks for model files that changed."""

_logger = logging.getLogger("graft.models")


@dataclass(frozen=True)
class Access:
    """Who may use a server: who has one of the `keys`, if there are any; and web pages of `origins`."""

    keys: Sequence[str] = ()
    origins: Sequence[str] = ()


def create_app(
    models: Registry,
    limits: ServerLimits | None = None,
    decode_limits: DecodeLimits | None = None,
    access: Access | None = None,
    *,
    cores: int | None = None,
    grpc_address: tuple[str, int] | None = None,
) -> FastAPI:
    """Return the web application for models, the first of which answers if a request names none.

    `cores` images are worked on at a time, by default as many as there are cores.
    Its `state.decoder` decodes the images; closing that ends every request soon. With `grpc_address`, host
    and port, its `state.rpc` answers the open inference protocol over gRPC there.
    """
    limits, access, cores = limits or ServerLimits(), access or Access(), cores or usable_cores()
    decoder, load = Decoder(decode_limits, cores), Load()
    metrics = Metrics(models, lambda: load.running)

    @contextlib.asynccontextmanager
    async def working(_app: FastAPI) -> AsyncIterator[None]:
        # Every request that is accepted has a thread, in which it waits for its turn until its deadline.
        anyio.to_thread.current_default_thread_limiter().total_tokens = limits.queue + 1
        if rpc is not None:
            await rpc.start()
        decoder.start()
        watch = asyncio.create_task(_watch(models, metrics))
        yield
        if rpc is not None:
            await rpc.stop()
        watch.cancel()
        decoder.close()

    app = FastAPIOffline(title="Graft", redoc_url=None, static_url="/docs/static", lifespan=working)
    app.state.decoder = decoder
    worker = Worker(decoder, metrics, cores)
    rpc = None
    if grpc_address is not None:
        from serve.rpc.calls import Calls
        from serve.rpc.dispatch import Dispatcher
        from serve.rpc.server import GrpcServer

        dispatcher = Dispatcher(Calls(models, worker), limits, load, access.keys, metrics.count_request)
        rpc = GrpcServer(dispatcher, *grpc_address)
    app.state.rpc = rpc
    app.include_router(native_router(models, worker))
    app.include_router(v2_router(models, worker))

    @app.get("/metrics", response_class=Response, tags=["operation"])
    async def show_metrics() -> Response:
        """Counts and times, in the text format of Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=1.0.0; charset=utf-8")

    app.add_middleware(Admission, limits=limits, load=load)
    if access.keys:
        app.add_middleware(Keys, keys=access.keys, open_paths=OPEN_PATHS)
    if access.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID, JSON_LENGTH, "retry-after"],
        )
    app.add_middleware(Observe, count=metrics.count_request)
    app.add_exception_handler(HTTPError, _answer_http_error)
    app.add_exception_handler(UnknownModelError, lambda _, error: _error(404, str(error)))
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(BusyError, lambda _request, _error: busy_response(limits))
    app.add_exception_handler(Exception, _answer_failure)
    MultiPartParser.spool_max_size = limits.upload_mb * MEBIBYTE  # uploads are never written to disk
    return app


async def _watch(models: Registry, metrics: Metrics) -> None:
    """Look for changed model files, for good, and note for other processes what has changed here."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            await asyncio.to_thread(models.refresh)
        except Exception:  # such as a folder that cannot be read now
            _logger.exception("cannot look for changed models")
        metrics.update()


def _error(status: int, text: object) -> JSONResponse:
    return JSONResponse({"error": text}, status_code=status)


def _answer_http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPError)
    return _error(error.status_code, error.detail)


def _answer_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    reasons = []
    for one in error.errors():
        field, message = ".".join(map(str, one["loc"][1:])), one["msg"]
        if "UploadFile" in message:
            message = f"found text, expected a file; with curl: -F {one['loc'][1]}=@image.jpg"
        reasons.append(f"{field}: {message}")
    return _error(422, "; ".join(reasons))


def _answer_failure(request: Request, error: Exception) -> JSONResponse:
    """Answer for a fault of the server, which also writes it to its log."""
    answer = _error(500, f"the server failed: {type(error).__name__}")
    answer.headers[REQUEST_ID] = request.scope.get("request_id", "")
    return answer
