"""Small files of weights for tests, and a server on this machine to download them from."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from huggingface_hub import close_session, constants
from torch import Tensor, nn

from zoo.pretrained.sources.base import FOLDER_VARIABLE

SMALL = """\
input: {{channels: 3, height: 16, width: 16}}
classes: 4
head: fc
stages: [conv, act]
choices: {{norm: batch_norm, act: relu}}
weights:
{weights}
layers:
  conv: {{conv: {{out: 6, kernel: 3, padding: 1, bias: false}}}}
  norm: norm
  act: act
  pool: {{adaptive_avg_pool: {{size: 1}}}}
  flatten: flatten
  fc: {{linear: {{out: $classes}}}}
"""


class Small(nn.Sequential):
    """The network that SMALL declares."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(6, classes)
        torch.nn.init.uniform_(self.norm.running_mean)  # type: ignore[arg-type]


def small_state(classes: int = 4, seed: int = 0) -> dict[str, Tensor]:
    """Random weights of the network of SMALL."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Small(classes).state_dict()


def small_spec(folder: Path, *entries: str) -> Path:
    """Write a spec of a tiny network with these entries of weights."""
    path = folder / "small.yaml"
    path.write_text(SMALL.format(weights="\n".join(f"  {entry}" for entry in entries)), encoding="utf-8")
    return path


def sha256(path: Path) -> str:
    """Hash a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def use_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Make `folder` the folder of downloads."""
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


def forbid_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test at every attempt to open a connection or to resolve a name."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"the network was asked: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@dataclass
class Server:
    """A server of a folder's files: its address, and the requests that it got."""

    url: str
    requests: list[str] = field(default_factory=list)


@contextmanager
def serving(
    folder: Path, handler: type[SimpleHTTPRequestHandler] = SimpleHTTPRequestHandler
) -> Iterator[Server]:
    """Serve a folder on 127.0.0.1 while the block runs."""
    requests: list[str] = []

    class Noting(handler):  # type: ignore[misc, valid-type]
        def parse_request(self) -> bool:
            known: bool = super().parse_request()
            requests.append(f"{self.command} {self.path}")
            return known

        def log_message(self, *args: Any) -> None:  # noqa: ANN401
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Noting, directory=str(folder)))
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}", requests)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class BreaksOff(SimpleHTTPRequestHandler):
    """Promises the whole file and hangs up after half of it."""

    def do_GET(self) -> None:
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])


@contextmanager
def serving_hub(folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: bytes) -> Iterator[Server]:
    """Be the Hugging Face hub with one file, such as `owner/net/resolve/main/model.safetensors`.

    Its cache is in `folder`. The library reads HF_ENDPOINT only when it is imported, so its constants change.
    """

    class Hub(SimpleHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            if self._answer():
                self.wfile.write(content)

        def _answer(self) -> bool:
            found = self.path == f"/{file}"
            self.send_response(200 if found else 404)
            if found:
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", "0123456789abcdef0123456789abcdef01234567")
            else:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", str(len(content) if found else 0))
            self.end_headers()
            return found

    with serving(folder, Hub) as server:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        yield server
        close_session()
