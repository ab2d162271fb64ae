"""A headless Chromium that reaches this machine only, and a demo that listens on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Route, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
HERE = "http://127.0.0.1"
NOBODY = "http://127.0.0.1:9"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_MS = 30_000  # other work may share the machine
OPTIONS = ["--no-sandbox", "--disable-background-networking"]


def find_chromium() -> str:
    """Chromium's path. Skips the test where there is none; GRAFT_REQUIRE_BROWSER=1 makes that a failure."""
    for name in (os.environ.get("GRAFT_CHROMIUM", ""), *NAMES):
        if found := shutil.which(name):
            return found
    give_up = pytest.fail if os.environ.get("GRAFT_REQUIRE_BROWSER") == "1" else pytest.skip
    give_up(f"no browser: none of {', '.join(NAMES)} is installed, and GRAFT_CHROMIUM names none")
    raise AssertionError


@contextlib.contextmanager
def open_browser() -> Iterator[tuple[BrowserContext, list[str]]]:
    """A browser cut off from other hosts, and the addresses there that its pages asked for in vain."""
    strangers: list[str] = []

    def refuse_strangers(route: Route) -> None:
        if route.request.url.startswith((HERE, "data:", "blob:", "file:")):
            route.continue_()
        else:
            strangers.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=OPTIONS)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        context.route("**/*", refuse_strangers)
        try:
            yield context, strangers
        finally:
            browser.close()


@contextlib.contextmanager
def serve_demo(runs: Path, log: Path, *command: str) -> Iterator[str]:
    """`python -m serve demo`, or another command, over a folder of runs; gives its address.

    It is behind a proxy that is not there.
    Gradio's shared temporary folder cannot be used, as when it belongs to another user.
    """
    temporary = log.with_name("temporary")
    temporary.mkdir()
    (temporary / "gradio").touch()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    asked = [sys.executable, "-X", "importtime", "-m", *(command or ("serve", "demo")), "--runs", runs.name]
    proxied = {
        **os.environ,
        "http_proxy": NOBODY,
        "all_proxy": NOBODY,
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(ROOT),
    }
    with log.open("w") as file:
        server = subprocess.Popen(
            [*asked, "--port", str(port)], stdout=file, stderr=file, env=proxied, cwd=runs.parent
        )
    try:
        wait_for(port, server, log)
        yield f"{HERE}:{port}"
    finally:
        server.terminate()
        server.wait(10)
    left = [path.name for path in temporary.iterdir()]
    assert left == ["gradio"], f"the demo left files behind: {left}"


def wait_for(port: int, server: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    """Return once something listens on the port; fail with the server's own words when it ends first."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    words = [line for line in log.read_text().splitlines() if not line.startswith("import time:")]
    pytest.fail(f"the demo did not start within {seconds:g} seconds: {' '.join(words[-5:])}")
