"""Writing a file so that readers find the old one or the new one, whenever the writer is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from files.manifest import find_manifest, sync


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; its file then takes the place of `path`.

    Who may read it is as for all new files of this user, also where the writer makes its own, as safetensors.
    Below a folder with a manifest, a line for the new file is added there first. Raises: OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)
        sync(temporary)
        manifest = find_manifest(path)
        if manifest is not None:
            manifest.add(path, temporary)
        temporary.replace(path)
        sync(path.parent)
        if manifest is not None:
            manifest.confirm()
    finally:
        temporary.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file or a folder, which need not exist, from disk and manifest. Raises: OSError."""
    manifest = find_manifest(path)
    if manifest is not None:
        manifest.forget(path)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing. No other process may be writing."""
    for left in folder.rglob(".*.*"):
        if left.suffix[1:].isdigit() and left.is_file():
            left.unlink(missing_ok=True)
