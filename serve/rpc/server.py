"""A gRPC server beside the HTTP server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import grpc

from serve.http.admission import Load
from serve.limits import MEBIBYTE, ServerLimits
from serve.registry import Registry
from serve.rpc.calls import Calls
from serve.rpc.dispatch import Dispatcher
from serve.worker import Worker

SERVICE = "inference.GRPCInferenceService"
IDLE_MS = 300_000
"""After so long without a call, a connection is closed; clients open it again by themselves."""

_logger = logging.getLogger("graft.access")


class GrpcServer:
    """Answers calls in the event loop in which it is started."""

    def __init__(self, dispatcher: Dispatcher, host: str, port: int) -> None:
        self._dispatcher, self._address = dispatcher, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._server: grpc.aio.Server | None = None
        self.port = port

    async def start(self) -> None:
        """Listen, on any free port if it is 0. Raises: RuntimeError if that cannot be done."""
        limits = self._dispatcher.limits
        self._server = server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limits.upload_mb * MEBIBYTE),
                ("grpc.max_concurrent_streams", limits.connections),
                ("grpc.max_connection_idle_ms", IDLE_MS),
                ("grpc.so_reuseport", 1),  # for several processes
            ],
            maximum_concurrent_rpcs=limits.connections,
        )
        handlers = grpc.method_handlers_generic_handler(SERVICE, self._dispatcher.handlers())
        server.add_generic_rpc_handlers([handlers])
        self.port = server.add_insecure_port(self._address)
        await server.start()
        _logger.info("gRPC on %s", self._address)

    async def stop(self) -> None:
        """Accept nothing more, and answer what was accepted. May be called again."""
        if self._server is not None:
            await self._server.stop(self._dispatcher.limits.drain_s)


def make_grpc_server(
    models: Registry,
    worker: Worker,
    *,
    limits: ServerLimits,
    load: Load,
    keys: Sequence[str],
    count: Callable[[str, str, str, float], None],
    address: tuple[str, int],
) -> GrpcServer:
    """Return a server of loaded models; `load` and `count` are those of HTTP, `address` is host and port."""
    return GrpcServer(Dispatcher(Calls(models, worker), limits, load, keys, count), *address)
