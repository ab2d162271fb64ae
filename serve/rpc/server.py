"""A gRPC server beside the HTTP server: it begins and ends with the application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import grpc

from serve.limits import MEBIBYTE
from serve.rpc.dispatch import Dispatcher

SERVICE = "inference.GRPCInferenceService"
IDLE_MS = 300_000
"""After so long without a call, a connection is closed; clients open it again by themselves."""


@contextlib.asynccontextmanager
async def serving_grpc(dispatcher: Dispatcher, host: str, port: int) -> AsyncIterator[int]:
    """Answer calls in this event loop while the block runs, and then those that were accepted. Out: the port.

    Raises: RuntimeError if nothing can listen there.
    """
    limits = dispatcher.limits
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", limits.upload_mb * MEBIBYTE),
            ("grpc.max_concurrent_streams", limits.connections),
            ("grpc.max_connection_idle_ms", IDLE_MS),
            ("grpc.so_reuseport", 1),
        ],
        maximum_concurrent_rpcs=limits.connections,
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, dispatcher.handlers())])
    bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(limits.drain_s)
