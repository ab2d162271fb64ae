"""A server of models in one process or several, from its settings."""

from __future__ import annotations

import math
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from logging.config import dictConfig
from pathlib import Path

from pixels.limits import DecodeLimits
from serve.app import Access, create_app
from serve.http.log import log_settings
from serve.http.processes import run_processes
from serve.http.server import make_server, run_server
from serve.limits import ServerLimits
from serve.metrics import SHARED_FOLDER, forget_process
from serve.registry import Registry


@dataclass(frozen=True)
class Service:
    """What is served, where, and within which limits. It can be pickled.

    `paths` and `versions` are the registry's. `threads` are those of one image, `cores` how many images are
    worked on at a time. Without `grpc_port` there is no gRPC.
    """

    paths: Sequence[Path]
    versions: int
    threads: int
    cores: int
    host: str
    port: int
    grpc_port: int | None
    limits: ServerLimits
    decode_limits: DecodeLimits
    access: Access
    log_json: bool

    def load(self) -> Registry:
        """Load the models. What cannot be loaded is in the registry's `errors`."""
        return Registry(self.paths, threads=self.threads, versions=self.versions)

    def run(self, models: Registry, listener: socket.socket | None = None) -> None:
        """Serve in this process until SIGTERM or Ctrl-C, on a listening socket if there is one."""
        app = create_app(
            models,
            self.limits,
            self.decode_limits,
            self.access,
            cores=self.cores,
            grpc_address=None if self.grpc_port is None else (self.host, self.grpc_port),
        )
        server = make_server(
            app,
            self.limits,
            host=self.host,
            port=self.port,
            give_up=app.state.decoder.close,
            stop_beside=None if app.state.rpc is None else app.state.rpc.stop,
            log=log_settings(as_json=self.log_json),
            shared=listener is not None,
        )
        run_server(server, listener)

    def run_processes(self, count: int) -> None:
        """Serve in several processes on one port, which share the limits and add up their metrics.

        Each works on twice its share of images, since more requests may come to it than to the others.
        """
        limits = replace(
            self.limits,
            queue=math.ceil(self.limits.queue / count),
            connections=math.ceil(self.limits.connections / count),
            held_mb=math.ceil(self.limits.held_mb / count),
        )
        part = replace(self, limits=limits, cores=min(self.cores, math.ceil(2 * self.cores / count)))
        with tempfile.TemporaryDirectory(prefix="graft-metrics-") as folder:
            os.environ[SHARED_FOLDER] = folder
            dictConfig(log_settings(as_json=self.log_json))
            run_processes(
                count,
                partial(_run, part),
                host=self.host,
                port=self.port,
                drain_s=self.limits.drain_s,
                ended=partial(forget_process, folder),
            )


def _run(service: Service, listener: socket.socket) -> None:
    models = service.load()
    if not models.models:  # they were there a moment ago
        sys.exit("\n".join(map(str, models.errors.values())))
    service.run(models, listener)
