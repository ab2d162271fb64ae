"""The HTTP application: the routers over loaded models, and what every request passes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from fastapi import FastAPI, Response
from fastapi_offline import FastAPIOffline
from starlette.formparsers import MultiPartParser
from starlette.middleware.cors import CORSMiddleware

from pixels.cores import usable_cores
from pixels.limits import DecodeLimits
from pixels.pool import Decoder
from serve.http.admission import Admission, Load
from serve.http.keys import Keys
from serve.http.observe import REQUEST_ID, Observe
from serve.limits import MEBIBYTE, ServerLimits
from serve.metrics import Metrics
from serve.registry import Registry
from serve.routers.errors import add_error_answers
from serve.routers.native import native_router
from serve.routers.v2 import JSON_LENGTH, v2_router
from serve.worker import Worker

if TYPE_CHECKING:
    from serve.rpc.server import GrpcServer

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

    worker, rpc = Worker(decoder, metrics, cores), None
    if grpc_address is not None:
        from serve.rpc.server import make_grpc_server

        rpc = make_grpc_server(
            models,
            worker,
            limits=limits,
            load=load,
            keys=access.keys,
            count=metrics.count_request,
            address=grpc_address,
        )

    work = partial(_working, limits=limits, decoder=decoder, rpc=rpc, watch=partial(_watch, models, metrics))
    app = FastAPIOffline(title="Graft", redoc_url=None, static_url="/docs/static", lifespan=work)
    app.state.decoder = decoder
    app.state.rpc = rpc
    app.include_router(native_router(models, worker))
    app.include_router(v2_router(models, worker))

    @app.get("/metrics", response_class=Response, tags=["operation"])
    async def show_metrics() -> Response:
        """Counts and times, in the text format of Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=1.0.0; charset=utf-8")

    _add_middleware(app, limits, load, access, metrics)
    add_error_answers(app, limits)
    MultiPartParser.spool_max_size = limits.upload_mb * MEBIBYTE  # uploads are never written to disk
    return app


@contextlib.asynccontextmanager
async def _working(
    _app: FastAPI,
    *,
    limits: ServerLimits,
    decoder: Decoder,
    rpc: GrpcServer | None,
    watch: Callable[[], Coroutine[Any, Any, None]],
) -> AsyncIterator[None]:
    """Do what goes on beside the requests for as long as the application runs."""
    # Every request that is accepted has a thread, in which it waits for its turn until its deadline.
    anyio.to_thread.current_default_thread_limiter().total_tokens = limits.queue + 1
    if rpc is not None:
        await rpc.start()
    decoder.start()
    watching = asyncio.create_task(watch())
    yield
    if rpc is not None:
        await rpc.stop()
    watching.cancel()
    decoder.close()


def _add_middleware(app: FastAPI, limits: ServerLimits, load: Load, access: Access, metrics: Metrics) -> None:
    """Add what every request passes; what is added last comes first."""
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


async def _watch(models: Registry, metrics: Metrics) -> None:
    """Look for changed model files, for good, and note for other processes what has changed here."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            await asyncio.to_thread(models.refresh)
        except Exception:  # such as a folder that cannot be read now
            _logger.exception("cannot look for changed models")
        metrics.update()
