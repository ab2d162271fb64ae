"""`hub: OWNER/NAME`: a file on the Hugging Face hub, kept in the hub's own cache."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants

from files.paths import is_file
from zoo.errors import WeightsError
from zoo.pretrained.sources.base import Source, WeightsFile, weights_folder

FILE = "model.safetensors"
ADDRESS = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?(/(?P<file>[\w./-]+))?")
BLOB = re.compile(r"[0-9a-f]{64}")  # the cache names large files by their sha256


@dataclass(frozen=True)
class HubFile(WeightsFile):
    """One file of a repository. One put there by hand lies in the folder of weights, by the repo's name."""

    repo: str
    file: str = FILE
    revision: str | None = None

    @property
    def origin(self) -> str:
        return huggingface_hub.hf_hub_url(self.repo, self.file, revision=self.revision)

    @property
    def path(self) -> Path:
        return weights_folder() / self.repo.replace("/", "--") / self.file

    def find(self) -> Path | None:
        """Return the file put there by hand, else the one in the hub's cache."""
        if is_file(self.path):
            return self.path
        cached = huggingface_hub.try_to_load_from_cache(self.repo, self.file, revision=self.revision)
        return Path(cached) if isinstance(cached, str) else None

    def expected_sha256(self, found: Path) -> str:
        """Return the hash that the spec states, else the one that the hub's cache names the file by."""
        blob = found.resolve().name
        return self.sha256 or (blob if BLOB.fullmatch(blob) else "")

    def fetch(self) -> Path:
        """Download into the hub's cache and check the hash."""
        if constants.HF_HUB_OFFLINE:
            raise self.unavailable("HF_HUB_OFFLINE is set")
        try:
            path = huggingface_hub.hf_hub_download(
                self.repo, self.file, revision=self.revision, force_download=self.find() is not None
            )
        except Exception as error:  # also those of the HTTP library that the hub's client uses
            raise self.unavailable(str(error).strip().partition("\n")[0] or type(error).__name__) from error
        self.verify(Path(path))
        self.path.unlink(missing_ok=True)  # a damaged file put there by hand would be found first
        return Path(path)


def source(name: str, sha256: str, folder: Path) -> Source:
    """Describe `OWNER/NAME`, `OWNER/NAME/FILE` or `OWNER/NAME@REVISION/FILE`. Raises WeightsError."""
    match = ADDRESS.fullmatch(name)
    if match is None:
        raise WeightsError(
            f"'{name}' is not an address on the hub\n"
            "  expected: OWNER/NAME, OWNER/NAME/FILE or OWNER/NAME@REVISION/FILE"
        )
    file = HubFile(sha256, match["repo"], match["file"] or FILE, match["revision"])
    return Source(f"hub {name}", file)
