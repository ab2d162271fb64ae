"""`package: DISTRIBUTION==VERSION/FILE`: a file of weights inside an installed Python package."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from zoo.errors import WeightsError
from zoo.pretrained.sources.base import Source, WeightsFile

ADDRESS = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[\w.+-]+)/(?P<file>[\w.-]+(/[\w.-]+)*)")


@dataclass(frozen=True)
class PackageFile(WeightsFile):
    """A file inside a package from the package registry, which an installer downloads and not Graft."""

    name: str
    version: str
    file: str

    @property
    def origin(self) -> str:
        return f"the Python package {self.name} {self.version}"

    @property
    def path(self) -> Path:
        """Where the file lies, or would lie if the package were installed."""
        package = self._distribution()
        if package is None:
            return Path(sys.prefix) / self.file
        return Path(str(package.locate_file(self.file)))

    @property
    def way_out(self) -> str:
        return f"install the package: pip install {self.name}=={self.version}"

    @property
    def repair(self) -> str:
        return f"install the package again: pip install --force-reinstall {self.name}=={self.version}"

    def find(self) -> Path | None:
        """Return the path of the file if the package is installed in this version."""
        return super().find() if self._distribution() is not None else None

    def fetch(self) -> Path:
        """Return the file, checked, or raise WeightsUnavailableError: installing is left to the user."""
        found = self.find()
        if found is None:
            raise self.unavailable("the package is not installed")
        self.verify(found)
        return found

    def _distribution(self) -> Distribution | None:
        try:
            found = distribution(self.name)
        except PackageNotFoundError:
            return None
        return found if found.version == self.version else None


def source(name: str, sha256: str, folder: Path) -> Source:
    """Describe `DISTRIBUTION==VERSION/FILE`. Raises WeightsError."""
    match = ADDRESS.fullmatch(name)
    if match is None or ".." in match["file"].split("/"):
        raise WeightsError(
            f"'{name}' does not name a file in a package\n"
            "  expected: DISTRIBUTION==VERSION/FILE, the file by its path below site-packages"
        )
    file = PackageFile(sha256, match["name"], match["version"], match["file"])
    return Source(file.origin, file)
