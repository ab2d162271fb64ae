"""`url: URL`: a file on a web server, downloaded into the folder of weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.errors import WeightsError
from zoo.pretrained.download import DownloadError, downloaded
from zoo.pretrained.sources.base import (
    Source,
    WeightsFile,
    describe_hash,
    hash_in_name,
    sha256_of,
    weights_folder,
)
from zoo.spec.urls import file_name, without_secrets

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
        return without_secrets(self.url)

    @property
    def path(self) -> Path:
        name = Path(file_name(self.url))
        digits = "" if hash_in_name(name.name) else self.sha256[:SHOWN_DIGITS]
        return weights_folder() / (f"{name.stem}-{digits}{name.suffix}" if digits else name.name)

    def fetch(self) -> Path:
        """Download to a temporary name, check the hash, rename."""
        try:
            with downloaded(self.url, self.path) as part:
                self._check(part)
        except DownloadError as error:
            raise self.unavailable(str(error)) from error
        return self.path

    def _check(self, part: Path) -> None:
        """Check the hash, of which only the first digits may be known."""
        actual = sha256_of(part)
        if not actual.startswith(self.sha256):
            raise WeightsError(
                f"{self.origin}: the downloaded file is not the one that was published\n"
                f"  expected: {describe_hash(self.sha256)}\n  found:    sha256 {actual}"
            )


def source(name: str, sha256: str, folder: Path) -> Source:
    """Describe the file at a URL. Raises WeightsError without a hash."""
    shown = without_secrets(name)
    if not sha256:
        raise WeightsError(
            f"weights from the url {shown}: no sha256, so the downloaded file could not be checked\n"
            "  expected: sha256, the hash of the file, next to url"
        )
    return Source(shown, Download(sha256, name))
