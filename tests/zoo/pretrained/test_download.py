"""Downloads are bounded in size and time, go on where they broke, and leave nothing but the whole file."""

from __future__ import annotations

import os
import time
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest
from weights_kit import serving, sha256, small_spec

import zoo
from zoo import limits
from zoo.pretrained import download
from zoo.pretrained.load import load_weights


def by_url(folder: Path, url: str, known: str) -> zoo.Spec:
    return zoo.read_spec(small_spec(folder, f'mine: {{url: "{url}", sha256: "{known}"}}'))


def refusal(folder: Path, published: Path, handler: type[SimpleHTTPRequestHandler]) -> str:
    """Return the message of a download that a server spoils."""
    with serving(published.parent, handler) as server:
        spec = by_url(folder, f"{server.url}/small.pth?key=SECRET", sha256(published))
        with pytest.raises(zoo.WeightsUnavailableError) as caught:
            zoo.build(spec, weights="mine")
    assert "SECRET" not in str(caught.value)
    return str(caught.value)


class BreaksOnce(SimpleHTTPRequestHandler):
    """Hangs up in the middle, then answers for the rest."""

    ranges: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        content = Path(self.translate_path(self.path)).read_bytes()
        self.ranges.append(self.headers.get("Range", ""))
        start = int(self.ranges[-1].removeprefix("bytes=").rstrip("-") or 0)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start:] if start else content[: len(content) // 2])


def test_a_broken_download_goes_on(tmp_path: Path, published: Path, cache: Path) -> None:
    BreaksOnce.ranges.clear()
    with serving(published.parent, BreaksOnce) as server:
        zoo.build(by_url(tmp_path, f"{server.url}/small.pth", sha256(published)), weights="mine")
    assert BreaksOnce.ranges == ["", f"bytes={published.stat().st_size // 2}-"]
    (file,) = cache.iterdir()
    assert file.read_bytes() == published.read_bytes()
    assert file.stat().st_mode == published.stat().st_mode  # as for any new file of this user


class Endless(SimpleHTTPRequestHandler):
    """Sends zeros for ever."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            try:
                self.wfile.write(bytes(10_000))
            except OSError:
                return


class Promises(SimpleHTTPRequestHandler):
    """Says that it will send more than anyone wants."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(10**15))
        self.end_headers()


class Trickles(SimpleHTTPRequestHandler):
    """Sends a byte now and then, so that no wait for the next is long."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(200):
            try:
                self.wfile.write(b"x")
                time.sleep(0.02)
            except OSError:
                return


class Redirects(SimpleHTTPRequestHandler):
    """Points to a file of the one who asks."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", "file:///etc/passwd?key=SECRET")
        self.end_headers()


def test_a_file_without_end(
    tmp_path: Path, published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_WEIGHTS_BYTES", 100_000)
    assert "the file has more than 100,000 bytes" in refusal(tmp_path, published, Endless)
    assert list(cache.iterdir()) == []


def test_a_file_that_is_announced_too_large(tmp_path: Path, published: Path, cache: Path) -> None:
    assert "the file has more than 17,179,869,184 bytes" in refusal(tmp_path, published, Promises)
    assert list(cache.iterdir()) == []


def test_a_server_that_sends_too_slowly(
    tmp_path: Path, published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "WINDOW_S", 0.1)
    assert "sends less than 1000 bytes per second" in refusal(tmp_path, published, Trickles)
    monkeypatch.setattr(limits, "MAX_DOWNLOAD_S", 0.05)
    monkeypatch.setattr(download, "WINDOW_S", 60)
    assert "the download takes more than 0.05 s" in refusal(tmp_path, published, Trickles)
    assert list(cache.iterdir()) == []


def test_a_redirect_reads_no_file_here(
    tmp_path: Path, published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RETRIES", 0)
    assert "not on this machine: the server redirects to what is no web address" in refusal(
        tmp_path, published, Redirects
    )


def test_what_a_killed_download_left_is_removed(tmp_path: Path, published: Path, cache: Path) -> None:
    old, new = cache / f".small-{sha256(published)[:8]}.pth.4321", cache / ".other.pth.4321"
    for path in (old, new):
        path.write_bytes(b"x")
        os.utime(path, (0, 0))
    with serving(published.parent) as server:
        zoo.build(by_url(tmp_path, f"{server.url}/small.pth", sha256(published)), weights="mine")
    assert not old.exists() and new.exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1/a%00.pth", "the URL ends in no name of a file"),
        ("http://127.0.0.1/a%1b[2J.pth", "the URL ends in no name of a file"),
        ("http://127.0.0.1/" + "a" * 300 + ".pth", "at most 200 bytes"),
        ("http://[::1/x", "not a URL: Invalid IPv6 URL"),
        ("http://host:port/x", "not a URL: Port could not be cast"),
        ("file:///dev/zero", "expected https://HOST/PATH/FILE"),
        ("/dev/zero", "expected https://HOST/PATH/FILE"),
        ("https:///x", "expected https://HOST/PATH/FILE"),
    ],
)
def test_a_url_that_is_none_is_refused_with_its_place(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(zoo.SpecError, match=r"small\.yaml:7:\d+: weights\.mine\.url: ") as caught:
        by_url(tmp_path, url, "0" * 64)
    assert message in str(caught.value)


def test_a_signed_url_is_recorded_without_its_key(tmp_path: Path, published: Path, cache: Path) -> None:
    with serving(published.parent) as server:
        signed = server.url.replace("//", "//user:SECRET@") + "/small.pth?Signature=SECRET#SECRET"
        spec = by_url(tmp_path, signed, sha256(published))
        net = zoo.build(spec)
        origin = load_weights(net, spec, "mine", 4)
    assert any("Signature=SECRET" in request for request in server.requests)
    assert origin.as_json()["origin"] == f"{server.url}/small.pth"
    assert f"url: {server.url}/small.pth" in spec.to_yaml().replace("'", "")
    assert "SECRET" not in spec.to_yaml()
    (file,) = cache.iterdir()
    assert "SECRET" not in file.name
