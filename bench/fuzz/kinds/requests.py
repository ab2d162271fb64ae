"""HTTP requests, damaged: an answer that is not the server's fault, or none; and the server goes on."""

from __future__ import annotations

import contextlib
import io
import json
import random
import socket
import threading
import time
from pathlib import Path

from PIL import Image

from bench.fuzz.case import Case, Kind, WrongError
from bench.fuzz.kinds.small import PROPERTIES, write_model
from bench.fuzz.mutate import TEXTS, damage
from serve.app import create_app
from serve.http.server import make_server
from serve.limits import ServerLimits
from serve.registry import Registry

METHODS = (
    "GET",
    "POST",
    "POST",
    "POST",
    "HEAD",
    "PUT",
    "OPTIONS",
    "TRACE",
    "get",
    "",
    "\x1b",
)
PATHS = [
    "/health",
    "/models",
    "/models/small",
    "/predict",
    "/predict",
    "/output",
    "/v2/models/small",
    "/v2/models/small/versions/2/infer",
    "/metrics",
    "/openapi.json",
    "/",
    "*",
    "/models/%00",
    "/models/../../etc/passwd",
    "/predict?top=1",
    "//",
    "/é",
    "http://x/predict",
]
HEADERS: tuple[str, ...] = (
    "Content-Length: -1",
    "Content-Length: 99999999999999999999",
    "Transfer-Encoding: chunked",
    "Host: x",
)
HEADERS += (
    "Content-Type: application/json",
    "Expect: 100-continue",
    "Content-Encoding: gzip",
    "X: " + "y" * 9000,
)
HEADERS += ("Content-Type: multipart/form-data", "Connection: keep-alive", "Range: bytes=0-", ": empty")
ODD: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    10**400,
    10**4000,
    1e308,
    "",
    "x" * 5000,
    [],
    {},
    [[]],
    [1, [2]],
    {"a": 1},
)
"""Values where a request has another."""
WAIT_S = 20.0
OK, BUSY, FAULT = 200, 503, 500
BOUNDARY = "frontier"


def _prepare(folder: Path) -> None:
    write_model(folder / "model.onnx", PROPERTIES)


def _open(folder: Path) -> Case:
    limits = ServerLimits(patience_s=0.3, keep_alive_s=1)
    port = free_port()
    application = create_app(Registry([folder / "model.onnx"], threads=1), limits)
    server = make_server(application, limits, host="127.0.0.1", port=port, log_level="critical")
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    images = _images()

    def check(draw: random.Random, _empty: Path) -> str:
        status = _ask(port, _draw(draw, images))
        if status is not None and status >= FAULT and status != BUSY:
            raise WrongError(f"status {status}")
        if (health := _ask(port, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) != OK:
            raise WrongError(f"/health answers {health}")
        return "no answer" if status is None else str(status)

    return check


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _ask(port: int, request: bytes) -> int | None:
    """Send a request and no more; return the status of the answer, None for none."""
    answer = b""
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", port), WAIT_S) as client,
    ):
        client.sendall(request)
        while part := client.recv(2**16):
            answer += part
    words = answer.split(b" ", 2)
    return int(words[1]) if answer.startswith(b"HTTP/") and words[1].isdigit() else None


def _draw(draw: random.Random, images: list[bytes]) -> bytes:
    request = _draw_tensors(draw) if draw.random() < 0.3 else _draw_form(draw, images)
    return damage(request, draw) if draw.random() < 0.5 else request


def _draw_tensors(draw: random.Random) -> bytes:
    """A request of the open inference protocol, in which some values are others."""

    def or_odd(value: object) -> object:
        return value if draw.random() < 0.9 else draw.choice(ODD)

    height, width = draw.choice(((1, 2), (30, 20), (400, 400)))
    pixels = draw.randbytes(height * width * 3)
    image = {"name": "image", "datatype": "UINT8", "shape": or_odd([1, or_odd(height), width, 3])}
    if binary := draw.random() < 0.7:
        image["parameters"] = or_odd({"binary_data_size": or_odd(len(pixels))})
    else:
        image["data"] = or_odd([or_odd(pixels[0]), *pixels[1:6000]])
    output = {"name": or_odd("probabilities"), "parameters": or_odd({"binary_data": or_odd(True)})}
    asked = {"id": or_odd("1"), "inputs": or_odd([or_odd(image)]), "outputs": or_odd([or_odd(output)])}
    head = json.dumps(asked | {"parameters": or_odd({"timeout": or_odd(10**7)})}).encode()
    body = head + (pixels if binary else b"")
    lines = (
        f"POST /v2/models/{draw.choice(('small', 'small', '%2e%2e'))}/infer HTTP/1.1",
        f"Host: x\r\nConnection: close\r\nContent-Length: {len(body)}",
        f"Inference-Header-Content-Length: {or_odd(len(head))}",
    )
    return "\r\n".join((*lines, "", "")).encode(errors="replace") + body


def _draw_form(draw: random.Random, images: list[bytes]) -> bytes:
    body = b"".join(_part(draw, images) for _ in range(draw.choice((0, 1, 1, 1, 2, 40)))) + _line(
        "", last=True
    )
    usual = draw.random() < 0.6
    method = "POST" if usual else draw.choice(METHODS)
    path = draw.choice(("/predict", "/output")) if usual else draw.choice(PATHS)
    headers = ["Host: x", f"Content-Type: multipart/form-data; boundary={BOUNDARY}", "Connection: close"]
    headers.append(
        f"Content-Length: {len(body) if draw.random() < 0.9 else draw.choice((0, 1, len(body) * 2))}"
    )
    if not usual:
        headers.insert(draw.randrange(len(headers)), draw.choice(HEADERS))
    head = "\r\n".join((f"{method} {path} HTTP/1.1", *headers, "", ""))
    return head.encode() + body


def _part(draw: random.Random, images: list[bytes]) -> bytes:
    name = draw.choice(("files", "files", "files", "file", "file", "model", "top", "other"))
    is_file = name in ("files", "file") and draw.random() < 0.9
    file_name = draw.choice(("a.png", "a.png", "é.jpg", *TEXTS)).replace("\ud800", "?").replace("\n", "%0A")
    content = draw.choice(images) if is_file else draw.choice((b"1", b"small", b"-1", b"9" * 5000, b"\xff"))
    if is_file and draw.random() < 0.4:
        content = damage(content, draw)
    said = f'; filename="{file_name}"' if is_file else ""
    return _line(f'Content-Disposition: form-data; name="{name}"{said}\r\n\r\n') + content + b"\r\n"


def _line(text: str, *, last: bool = False) -> bytes:
    return f"--{BOUNDARY}{'--' if last else ''}\r\n{text}".encode()


def _images() -> list[bytes]:
    contents = []
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF"):
        file = io.BytesIO()
        Image.effect_noise((20, 30), 60).convert("RGB").save(file, kind)
        contents.append(file.getvalue())
    return contents


KIND = Kind("requests", 2000, _prepare, _open)
