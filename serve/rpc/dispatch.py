"""From a call's metadata to its status: keys, limits, errors, and what is noted of each."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote

import grpc
from starlette.concurrency import run_in_threadpool

from pixels import ImageError
from pixels.errors import BusyError
from serve.http.admission import BUSY, Load
from serve.http.keys import NEEDED, KeyRing
from serve.http.observe import REQUEST_ID, choose_id, log_request
from serve.inference.tensors import TensorError
from serve.limits import ServerLimits
from serve.registry import UnknownModelError
from serve.rpc.calls import INFER, OPEN, Calls, LateError

METHOD = "grpc"
RETRY = "grpc-retry-pushback-ms"
"""After how long gRPC's clients should try again."""

_logger = logging.getLogger("graft.access")


class _RefusedError(Exception):
    """A call that is not answered: the status, and why."""

    def __init__(self, status: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Dispatcher:
    """Takes calls, of which no more than `queue` are received at a time, and no more are answered.

    A message is received within `deadline_s`, and answered in so many seconds more. `load` counts those that
    are answered, together with those of HTTP. `count` gets `grpc`, the call's name, its status and seconds.
    """

    def __init__(
        self,
        calls: Calls,
        limits: ServerLimits,
        load: Load,
        keys: Sequence[str],
        count: Callable[[str, str, str, float], None],
    ) -> None:
        self.limits = limits
        self._calls, self._load, self._count = calls, load, count
        self._ring = KeyRing(keys) if keys else None
        self._receiving = 0

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """Return a handler for each call, by its name.

        On the wire, one message is a stream of one. A handler of a stream begins before the message is here.
        """
        return {
            name: grpc.stream_unary_rpc_method_handler(partial(self._handle, name))
            for name in self._calls.names
        }

    async def _handle(self, name: str, _messages: object, context: grpc.aio.ServicerContext) -> bytes:
        """Answer a call, or end it with a status and a reason; note it either way."""
        start, status = time.perf_counter(), grpc.StatusCode.CANCELLED
        metadata = dict(context.invocation_metadata())
        number = choose_id(metadata.get(REQUEST_ID, ""))
        try:
            context.set_trailing_metadata(((REQUEST_ID, number),))
            answer = await self._answer(name, metadata, context)
        except Exception as error:  # each becomes a status
            status, reason = _explain(error)
            retry = ((RETRY, str(self.limits.retry_after_s * 1000)),) if reason == BUSY else ()
            await context.abort(status, reason, ((REQUEST_ID, number), *retry))
            raise  # which abort does
        else:
            status = grpc.StatusCode.OK
            return answer
        finally:
            seconds = time.perf_counter() - start
            self._count(METHOD, name, status.name, seconds)
            client = unquote(context.peer().partition(":")[2].rpartition(":")[0])
            log_request(number, client, method=METHOD, path=name, status=status.name, seconds=seconds)

    async def _answer(self, name: str, metadata: dict[str, str], context: grpc.aio.ServicerContext) -> bytes:
        if name not in OPEN and self._ring is not None and not self._ring.knows(metadata):
            raise _RefusedError(grpc.StatusCode.UNAUTHENTICATED, NEEDED)
        if name != INFER:
            return self._calls.answer(name, await self._receive(context))
        self._check_room()
        content = await self._receive(context)
        self._check_room()
        left, size = context.time_remaining(), len(content)
        self._load.running += 1
        self._load.held += size
        work = asyncio.ensure_future(self._infer(content, math.inf if left is None else left))
        del content  # _infer lets go of it
        # Where a client leaves, its thread works until the deadline, and holds its place until then.
        work.add_done_callback(lambda _: self._release(size))
        return await asyncio.shield(work)

    async def _infer(self, content: bytes, client_s: float) -> bytes:
        now = time.monotonic()
        model, asked = await run_in_threadpool(self._calls.read, content)
        del content  # the images are a copy
        return await run_in_threadpool(
            self._calls.infer, model, asked, now + client_s, now + self.limits.deadline_s
        )

    async def _receive(self, context: grpc.aio.ServicerContext) -> bytes:
        if self._receiving >= self.limits.queue:
            raise BusyError
        self._receiving += 1
        try:
            async with asyncio.timeout(self.limits.deadline_s):
                content: Any = await context.read()
        except TimeoutError as error:
            reason = f"no complete message within {self.limits.deadline_s:g} seconds"
            raise _RefusedError(grpc.StatusCode.DEADLINE_EXCEEDED, reason) from error
        finally:
            self._receiving -= 1
        if content is grpc.aio.EOF:
            # The client is told by gRPC itself that its message is too large.
            reason = f"no message, or one of more than {self.limits.upload_mb} MiB"
            raise _RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        return bytes(content)

    def _check_room(self) -> None:
        if self._load.is_full(self.limits):
            raise BusyError

    def _release(self, size: int) -> None:
        self._load.running -= 1
        self._load.held -= size


def _explain(error: Exception) -> tuple[grpc.StatusCode, str]:
    """Return the status and the reason for a client; a fault of the server is written to its log."""
    match error:
        case _RefusedError():
            return error.status, str(error)
        case UnknownModelError():
            return grpc.StatusCode.NOT_FOUND, str(error)
        case TensorError() | ImageError():
            return grpc.StatusCode.INVALID_ARGUMENT, str(error)
        case LateError():
            return grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in the time that the client gave"
        case BusyError():
            return grpc.StatusCode.UNAVAILABLE, BUSY
        case _:
            _logger.error("a call failed", exc_info=error)
            return grpc.StatusCode.INTERNAL, f"the server failed: {type(error).__name__}"
