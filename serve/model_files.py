"""Which model files a server was given: single files, folders of runs, or a folder of models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.artifact import FILE_NAME

FIRST_VERSION = "1"
SUFFIX = ".onnx"


@dataclass(frozen=True)
class ModelFile:
    """A path that may hold a model; `name` and `version` by its folders, no name for a path of its own."""

    path: Path
    name: str | None = None
    version: str = FIRST_VERSION

    @property
    def file(self) -> Path:
        """The file itself, which may be missing."""
        return self.path / FILE_NAME if self.path.is_dir() else self.path


@dataclass(frozen=True)
class Signature:
    """What changes when a file is replaced."""

    changed_ns: int
    size: int
    number: int

    @classmethod
    def of(cls, path: Path) -> Signature | None:
        """Return a file's signature, None if there is none."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_mtime_ns, found.st_size, found.st_ino)


def is_models_folder(path: Path) -> bool:
    """Whether a path is a folder with models in it, and not a run."""
    return path.is_dir() and not (path / FILE_NAME).exists() and next(_models_in(path), None) is not None


def find_model_files(paths: Sequence[Path]) -> list[ModelFile]:
    """Return what a server's paths hold now. Of a folder of models, each file that is there."""
    found: list[ModelFile] = []
    for path in paths:
        found.extend(_models_in(path) if is_models_folder(path) else [ModelFile(path)])
    return found


def newest_first(files: Sequence[ModelFile]) -> list[ModelFile]:
    """Order versions of a model: numbers by value, before those first that were written last."""

    def rank(file: ModelFile) -> tuple[int, int, str]:
        signature = Signature.of(file.file)
        number = int(file.version) if file.version.isdecimal() else -1
        return number, signature.changed_ns if signature else 0, file.version

    return sorted(files, key=rank, reverse=True)


def _models_in(folder: Path) -> Iterator[ModelFile]:
    """Yield `NAME.onnx`, `NAME/model.onnx`, and `NAME/VERSION/model.onnx` as for runs and for Triton."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        yield ModelFile(path, path.stem)
    for path in sorted(folder.glob(f"*/{FILE_NAME}")):
        yield ModelFile(path.parent, path.parent.name)
    for path in sorted(folder.glob(f"*/*/{FILE_NAME}")):
        yield ModelFile(path.parent, path.parent.parent.name, path.parent.name)
