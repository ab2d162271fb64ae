"""Weight files behind a URL: fetched into one folder, whole and with the right hash or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from zoo.errors import WeightsError
from zoo.pretrained.place import TIMEOUT_S, Tell, check_arrival, hash_in_name, unavailable, weights_folder

ATTEMPTS = 2
CHUNK_BYTES = 1 << 20
SHOWN_DIGITS = 8


@dataclass(frozen=True)
class Download:
    """A file behind a URL, kept in one folder under its own name, as torch.hub keeps it.

    A name that does not bear the hash gets its first digits, so that no `model.pth` is taken for another.
    """

    url: str
    sha256: str

    @property
    def origin(self) -> str:
        """The URL."""
        return self.url

    @property
    def home(self) -> Path:
        """The file in the folder of weights."""
        name = Path(urllib.parse.unquote(urllib.parse.urlparse(self.url).path).strip("./") or "weights")
        digits = "" if hash_in_name(name.name) else self.sha256[:SHOWN_DIGITS]
        return weights_folder() / (f"{name.stem}-{digits}{name.suffix}" if digits else name.name)

    def find(self) -> Path | None:
        """Give the file if it was fetched before."""
        return self.home if self.home.is_file() else None

    def expected_sha256(self, path: Path) -> str:
        """Give the hash that the publisher or the spec states."""
        return self.sha256

    def fetch(self, tell: Tell) -> Path:
        """Download into a temporary name beside the file, check the hash, rename."""
        with _part_of(self.home) as part:
            reason = ""
            for _ in range(ATTEMPTS):
                try:
                    digest = _download(self.url, part, tell)
                except urllib.error.HTTPError as error:
                    error.close()
                    raise unavailable(self, str(error)) from error
                except (urllib.error.URLError, ValueError) as error:  # asking again would not help
                    raise unavailable(self, _in_words(error)) from error
                except (_BrokenOffError, OSError, http.client.HTTPException) as error:
                    reason = _in_words(error)
                    continue
                check_arrival(self, digest, self.sha256)
                with _writes(self.home):
                    part.replace(self.home)
                return self.home
        raise unavailable(self, reason)


class _BrokenOffError(Exception):
    """A download that ended before its end."""


def _download(url: str, file: Path, tell: Tell) -> str:
    """Read a URL into a file; give the hash of what came."""
    request = urllib.request.Request(url, headers={"User-Agent": "graft"})
    digest, done = hashlib.sha256(), 0
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response, _writing(file) as target:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        tell(0, total)
        while block := response.read(CHUNK_BYTES):
            with _writes(file):
                target.write(block)
            digest.update(block)
            done += len(block)
            tell(done, total)
    if total is not None and done != total:
        raise _BrokenOffError(f"the connection broke off after {done} of {total} bytes")
    return digest.hexdigest()


@contextlib.contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file beside `path`, gone afterwards unless it was renamed."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def _writing(file: Path) -> Iterator[IO[bytes]]:
    with _writes(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        target = file.open("wb")
    with target:
        yield target


@contextlib.contextmanager
def _writes(path: Path) -> Iterator[None]:
    """Tell a full disk or a closed folder from a broken network."""
    try:
        yield
    except OSError as error:
        raise WeightsError(f"{path.parent}: cannot be written to: {error.strerror}") from error


def _in_words(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    return str(reason) or type(reason).__name__
