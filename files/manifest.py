"""The manifest of a folder: a line for each file that was written, with its SHA-256, in the order of writing.

A line is on the disk before its file takes its place, and an empty line follows once it has. So only where
there is none, the file of the last line may still be what it was before. Every other file is damaged when it
differs from its line.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "manifest.jsonl"
CHUNK = 1 << 20


class DamagedFileError(Exception):
    """A file that is not as it was written; `path` says which one, the message what was found."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(f"{path}: {found}")
        self.path = path


@dataclass(frozen=True)
class Line:
    """The size and hash of a file at `path`, relative to the folder; both None for one that was removed."""

    path: str
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The manifest in `folder`."""

    folder: Path

    @property
    def path(self) -> Path:
        """The file of the manifest itself."""
        return self.folder / NAME

    def start(self) -> None:
        """Make an empty manifest, unless there is one. Raises: OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path.touch()

    def add(self, path: Path, content: Path | None = None) -> None:
        """Add a line for the file at `path`, which is there already, or will be: its content is elsewhere."""
        self._append(_format(Line(self._name(path), *_measure(content or path))))
        if content is None:
            self.confirm()

    def confirm(self) -> None:
        """Note that the file of the last line has taken its place."""
        self._append("\n")

    def forget(self, path: Path) -> None:
        """Add a line that the file or folder at `path` is removed."""
        self._append(_format(Line(self._name(path))))

    def check(self, path: Path) -> None:
        """Raises: DamagedFileError unless the file is as it was written; that includes one without a line."""
        while True:
            text = self._read()
            damage = self._find_damage(path, self._allowed(text).get(self._name(path), []))
            if damage is None:
                return
            if text == self._read():  # else it was written meanwhile
                raise DamagedFileError(path, damage)

    def damaged(self) -> Iterator[DamagedFileError]:
        """Yield an error for each file that is missing or not as it was written.

        Raises: DamagedFileError when the manifest itself cannot be read.
        """
        for name in self._allowed(self._read()):
            try:
                self.check(self.folder / name)
            except DamagedFileError as error:
                yield error

    def folders(self, path: Path) -> list[Path]:
        """Return the folders directly in `path` that hold files, in the order of their first line."""
        found = [self.folder / name for name in self._allowed(self._read())]
        return list(dict.fromkeys(file.parent for file in found if file.parent.parent == path))

    def compact(self) -> None:
        """Write the manifest anew with the last line of each file, as it is now if it was being replaced.

        No other process may write.
        """
        lines = []
        for name, allowed in self._allowed(self._read()).items():
            path = self.folder / name
            found = Line(name, *(_measure(path) if path.is_file() else ()))
            lines.append(found if found in allowed else allowed[-1])
        temporary = self.path.with_name(f".{NAME}.{os.getpid()}")
        temporary.write_text(
            "".join(_format(line) for line in lines if line.sha256 is not None) + "\n", encoding="utf-8"
        )
        sync(temporary)
        temporary.replace(self.path)

    def _name(self, path: Path) -> str:
        return (path.parent.resolve() / path.name).relative_to(self.folder.resolve()).as_posix()

    def _append(self, text: str) -> None:
        with self.path.open("ab") as file:
            size = file.tell()
            try:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            except OSError:  # a full disk: half a line would damage the manifest
                os.truncate(self.path, size)
                raise

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError as error:
            raise DamagedFileError(self.path, "missing") from error

    def _lines(self, text: bytes) -> list[Line]:
        """Return the lines. The last one may have been cut short by a kill, before its file was written."""
        lines = []
        for number, line in enumerate(whole := text.splitlines(keepends=True), start=1):
            try:
                lines += [_parse(line)] if line != b"\n" else []
            except ValueError as error:
                if number == len(whole) and not line.endswith(b"\n"):
                    break
                raise DamagedFileError(self.path, f"line {number} is damaged") from error
        return lines

    def _allowed(self, text: bytes) -> dict[str, list[Line]]:
        """Return for each file what it may be: its last line; for an unconfirmed one also the line before."""
        lines, known = self._lines(text), dict[str, list[Line]]()
        for line in lines:
            if line.sha256 is None:
                for name in [name for name in known if name == line.path or name.startswith(f"{line.path}/")]:
                    del known[name]
            else:
                before = known.get(line.path, [Line(line.path)])[-1:]
                unconfirmed = line is lines[-1] and not text.endswith(b"\n\n")
                known[line.path] = [*(before if unconfirmed else []), line]
        return known

    def _find_damage(self, path: Path, allowed: list[Line]) -> str | None:
        if not allowed:
            return f"not in {NAME}: the run did not write it, or was interrupted there"
        if not path.is_file():
            return None if Line(self._name(path)) in allowed else "missing"
        size = path.stat().st_size
        if all(line.bytes != size for line in allowed):
            return f"has {size:,} bytes, and {allowed[-1].bytes or 0:,} were written"
        if _measure(path)[1] not in [line.sha256 for line in allowed]:
            return f"its content is not what was written: its SHA-256 differs from {NAME}"
        return None


def find_manifest(path: Path) -> Manifest | None:
    """Return the manifest of the nearest folder above the path that has one."""
    folders = path.absolute().parents
    return next((Manifest(folder) for folder in folders if (folder / NAME).is_file()), None)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # folders cannot be opened there
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _measure(path: Path) -> tuple[int, str]:
    """Return the size and the SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _format(line: Line) -> str:
    return json.dumps(asdict(line)) + "\n"


def _parse(text: bytes) -> Line:
    values = json.loads(text)
    if not isinstance(values, dict) or set(values) != {"path", "bytes", "sha256"}:
        raise ValueError(f"found {text!r}")
    path, size, digest = values["path"], values["bytes"], values["sha256"]
    given = (size is None and digest is None) or (type(size) is int and isinstance(digest, str))
    if not isinstance(path, str) or not given or ".." in Path(path).parts or Path(path).is_absolute():
        raise ValueError(f"found {text!r}")
    return Line(path, size, digest)
