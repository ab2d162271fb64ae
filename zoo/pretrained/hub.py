"""Weight files on the Hugging Face hub, kept in its own cache, so that what is there already is found."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants
from tqdm import tqdm  # type: ignore[import-untyped]

from zoo.errors import WeightsError
from zoo.pretrained.place import TIMEOUT_S, Tell, check_arrival, sha256_of, unavailable, weights_folder

FILE = "model.safetensors"
ADDRESS = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?(/(?P<file>[\w./-]+))?")
BLOB = re.compile(r"[0-9a-f]{64}")  # the cache names large files by their sha256


@dataclass(frozen=True)
class HubFile:
    """One file of a repository. One that was put by hand lies in the folder of weights, under REPO's name."""

    repo: str
    file: str
    revision: str | None
    sha256: str

    @property
    def origin(self) -> str:
        """The file's URL."""
        return huggingface_hub.hf_hub_url(self.repo, self.file, revision=self.revision)

    @property
    def home(self) -> Path:
        """Where the file is put by hand: the hub's own cache is not made for that."""
        return weights_folder() / self.repo.replace("/", "--") / self.file

    def find(self) -> Path | None:
        """Give the file, be it put by hand or in the hub's cache."""
        if self.home.is_file():
            return self.home
        cached = huggingface_hub.try_to_load_from_cache(
            self.repo, self.file, cache_dir=constants.HF_HUB_CACHE, revision=self.revision
        )
        return Path(cached) if isinstance(cached, str) else None

    def expected_sha256(self, path: Path) -> str:
        """Give the hash that the spec states, else the one by which the hub's cache calls the file."""
        blob = path.resolve().name
        return self.sha256 or (blob if BLOB.fullmatch(blob) else "")

    def fetch(self, tell: Tell) -> Path:
        """Download into the hub's cache, its hash checked."""
        self._knock()
        damaged = self._is_damaged()
        try:
            path = Path(
                huggingface_hub.hf_hub_download(
                    self.repo,
                    self.file,
                    revision=self.revision,
                    cache_dir=constants.HF_HUB_CACHE,
                    etag_timeout=TIMEOUT_S,
                    force_download=damaged,
                    tqdm_class=_bar(tell),
                )
            )
        except Exception as error:  # those of whichever HTTP library the hub's own is built on
            raise unavailable(self, str(error).strip().partition("\n")[0] or type(error).__name__) from error
        check_arrival(self, sha256_of(path), self.expected_sha256(path))
        if damaged:
            self.home.unlink(missing_ok=True)  # else it would be found before the one that has come
        return path

    def _knock(self) -> None:
        """See whether the hub answers at all: its library would ask again for half a minute."""
        if constants.HF_HUB_OFFLINE:
            raise unavailable(self, "HF_HUB_OFFLINE is set")
        request = urllib.request.Request(self.origin, method="HEAD", headers={"User-Agent": "graft"})
        try:
            urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
        except urllib.error.HTTPError as error:
            error.close()  # an answer: whether the file may be had, the library will tell
        except OSError as error:
            raise unavailable(self, str(getattr(error, "reason", error))) from error

    def _is_damaged(self) -> bool:
        path = self.find()
        return path is not None and not sha256_of(path).startswith(self.expected_sha256(path))


def hub_file(address: str, sha256: str) -> HubFile:
    """Read `OWNER/NAME`, `OWNER/NAME/FILE` or `OWNER/NAME@REVISION/FILE`. Raises WeightsError."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise WeightsError(
            f"'{address}' is no address on the hub\n"
            "  expected: OWNER/NAME, OWNER/NAME/FILE or OWNER/NAME@REVISION/FILE"
        )
    return HubFile(match["repo"], match["file"] or FILE, match["revision"], sha256)


def _bar(tell: Tell) -> type[tqdm]:
    """Make a bar of the hub's kind that draws nothing and passes on how far the download is."""

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            super().__init__(disable=True)
            self.whole, self.done = kwargs.get("total"), int(kwargs.get("initial") or 0)
            tell(self.done, self.whole)

        def update(self, n: float | None = 1) -> None:
            self.done += int(n or 0)
            tell(self.done, self.whole)

    return Bar
