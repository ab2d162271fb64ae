"""`file: PATH`: a file on this machine, described by the card next to it if there is one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from files.paths import is_file
from zoo.pretrained.card import find_card
from zoo.pretrained.sources.base import Source, WeightsFile
from zoo.spec.inherit import find_weight_file


@dataclass(frozen=True)
class LocalFile(WeightsFile):
    """A file of weights on this machine."""

    location: Path

    @property
    def origin(self) -> str:
        return str(self.location)

    @property
    def path(self) -> Path:
        return self.location

    def fetch(self) -> Path:
        """Return the file, or raise WeightsUnavailableError: there is nowhere to download it from."""
        if not is_file(self.location):
            raise self.unavailable("no such file")
        self.verify(self.location)
        return self.location


def source(name: str, sha256: str, folder: Path) -> Source:
    """Describe a file; a relative path is relative to the spec, else to the weights that Graft ships."""
    path = find_weight_file(name, folder)
    card = find_card(path)
    if card is None:
        return Source(f"the file {path.name}", LocalFile(sha256, path))
    return Source(
        title=f"{card.name}, trained by Graft on {card.data}",
        file=LocalFile(sha256 or card.sha256, path),
        licence=card.licence,
        classes=card.classes,
        input=card.input,
        choices=card.choices,
    )
