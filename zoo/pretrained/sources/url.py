"""`url: URL`: a file on a web server, downloaded into the folder of weights."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import pooch
import requests

from zoo.errors import WeightsError
from zoo.pretrained.sources.base import (
    Source,
    WeightsFile,
    describe_hash,
    hash_in_name,
    sha256_of,
    weights_folder,
)

TIMEOUT_S = 10.0
RETRIES = 1  # for a broken connection
CHUNK_BYTES = 1 << 20
SHOWN_DIGITS = 8


@dataclass(frozen=True)
class Download(WeightsFile):
    """A file on a web server, kept in the folder of weights under its own name, as torch.hub keeps it.

    A name without the hash is extended by the first digits of the hash, so that no `model.pth` is mistaken
    for another.
    """

    url: str

    @property
    def origin(self) -> str:
        return self.url

    @property
    def path(self) -> Path:
        name = Path(unquote(urlparse(self.url).path).strip("./") or "weights")
        digits = "" if hash_in_name(name.name) else self.sha256[:SHOWN_DIGITS]
        return weights_folder() / (f"{name.stem}-{digits}{name.suffix}" if digits else name.name)

    def fetch(self) -> Path:
        """Download to a temporary name, check the hash, rename."""
        path = self.path
        pooch.get_logger().setLevel("WARNING")
        registry = pooch.create(
            path.parent, base_url="", registry={path.name: None}, urls={path.name: self.url},
            retry_if_failed=RETRIES,
        )  # fmt: skip
        try:
            path.unlink(missing_ok=True)  # pooch would keep it
            registry.fetch(path.name, downloader=self._download)
        except (requests.RequestException, ValueError) as error:
            raise self.unavailable(_reason(error)) from error
        except OSError as error:
            raise WeightsError(f"{path.parent}: cannot be written to: {error.strerror}") from error
        return path

    def _download(self, url: str, file: str, registry: pooch.Pooch) -> None:
        """Download into a file and check its hash, of which only the first digits may be known."""
        progress = sys.stderr.isatty()
        pooch.HTTPDownloader(progress, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S)(url, file, registry)
        actual = sha256_of(Path(file))
        if not actual.startswith(self.sha256):
            raise WeightsError(
                f"{url}: the downloaded file is not the one that was published\n"
                f"  expected: {describe_hash(self.sha256)}\n  found:    sha256 {actual}"
            )


def source(name: str, sha256: str, folder: Path) -> Source:
    """Describe the file at a URL. Raises WeightsError without a hash."""
    if not sha256:
        raise WeightsError(
            f"weights from the url {name}: no sha256, so the downloaded file could not be checked\n"
            "  expected: sha256, the hash of the file, next to url"
        )
    return Source(name, Download(sha256, name))


def _reason(error: BaseException) -> str:
    """Return the message of the exception that was raised first."""
    while error.__context__ is not None:
        error = error.__context__
    return f"no answer within {TIMEOUT_S:g} s" if isinstance(error, TimeoutError) else str(error)
