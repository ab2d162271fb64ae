"""The command `serve`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from pixels.text import printable
from serve.command.failure import explain_missing, fail, require_free

LOG_FORMS = ("text", "json")
MOST_PROCESSES = 64


def serve(
    models: Annotated[
        list[Path],
        typer.Argument(help="model.onnx files, run folders, or folders of models", metavar="MODEL"),
    ],
    *,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    grpc_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="answer the open inference protocol over gRPC there")
    ] = None,
    host: Annotated[
        str, typer.Option(help="address to listen on; 0.0.0.0 for other machines too")
    ] = "127.0.0.1",
    versions: Annotated[int, typer.Option(min=1, help="newest ones of each model of a folder")] = 1,
    processes: Annotated[
        int, typer.Option(min=1, max=MOST_PROCESSES, help="that share the requests; more answer more of them")
    ] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="for one image, by default half as many as cores")
    ] = None,
    queue: Annotated[int, typer.Option(min=1, help="requests at a time; one more gets 503")] = 128,
    deadline: Annotated[float, typer.Option(min=0.1, help="seconds for a request; then it gets 503")] = 30,
    max_upload: Annotated[int, typer.Option(min=1, help="MiB in one request")] = 32,
    max_pixels: Annotated[int, typer.Option(min=1, help="of one image")] = 50_000_000,
    decode_seconds: Annotated[float, typer.Option(min=0.1, help="processor time to decode an image")] = 10,
    api_keys: Annotated[
        Path | None, typer.Option(help="a file with a key on each line", metavar="FILE")
    ] = None,
    cors: Annotated[
        list[str] | None, typer.Option(help="web page that may use the server", metavar="ORIGIN")
    ] = None,
    log: Annotated[str, typer.Option(help="text, or json: one object on each line")] = "text",
) -> None:
    """Serve each MODEL over HTTP: /predict, /v2, /models, /metrics. /docs shows all of it."""
    require_free(host, port)
    if grpc_port is not None:
        if grpc_port == port:
            fail(f"--grpc-port: found {grpc_port}, which is --port; expected another one")
        require_free(host, grpc_port, "--grpc-port")
    with explain_missing("serve"):
        from pixels.cores import usable_cores
        from pixels.limits import DecodeLimits
        from serve.app import Access
        from serve.http.keys import read_keys
        from serve.limits import ServerLimits
        from serve.service import Service
    if grpc_port is not None:
        with explain_missing("grpc"):
            importlib.import_module("serve.rpc.server")
    if log not in LOG_FORMS:
        fail(f"--log: found {log!r}; expected {' or '.join(LOG_FORMS)}")
    try:
        access = Access(read_keys(api_keys) if api_keys else (), cors or ())
    except (OSError, ValueError) as error:
        fail(f"--api-keys: {error}")
    service = Service(
        models,
        host=host,
        port=port,
        grpc_port=grpc_port,
        versions=versions,
        threads=threads or max(1, usable_cores() // 2),
        cores=usable_cores(),
        limits=ServerLimits(queue=queue, deadline_s=deadline, upload_mb=max_upload),
        decode_limits=DecodeLimits(max_pixels=max_pixels, cpu_s=decode_seconds),
        access=access,
        log_json=log == "json",
    )
    registry = service.load()
    if not registry.models:
        fail("\n".join(map(str, registry.errors.values())))
    for refusal in registry.errors.values():
        print(printable(f"left out: {refusal}"), file=sys.stderr)
    if processes == 1:
        service.run(registry)
    else:
        del registry  # each process has its own
        service.run_processes(processes)
