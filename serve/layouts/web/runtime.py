"""onnxruntime's build for browsers, as npm publishes it: fetched once, checked, kept in the cache folder."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from files import replacing
from files.paths import cache_folder
from serve.artifact import ArtifactError

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""The hash of the package's archive as npm states it, in base64."""
SIZE_MB = 33
TIMEOUT_S = 600
SCRIPT, GLUE, WASM = "ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"


@dataclass(frozen=True)
class Runtime:
    """The library's script, and the module and WebAssembly binary that it loads."""

    script: bytes
    glue: bytes
    wasm: bytes


def load_runtime() -> Runtime:
    """Return onnxruntime-web, fetched by npm if it is not in the cache folder.

    Raises: ArtifactError if it cannot be had, or is not what was published; OSError.
    """
    archive = cache_folder() / "web" / f"{PACKAGE}-{VERSION}.tgz"
    if not archive.exists():
        _fetch(archive)
    found = _sha512(archive)
    if found != SHA512:
        raise ArtifactError(
            f"{archive}: not the published file\n  expected: sha512 {SHA512}\n  found:    sha512 {found}\n"
            "  Remove it, and run the same command again"
        )
    wanted = {f"package/dist/{name}": b"" for name in (SCRIPT, GLUE, WASM)}
    with tarfile.open(archive) as package:
        for member in package:
            if member.name in wanted and (file := package.extractfile(member)):
                wanted[member.name] = file.read()
            if all(wanted.values()):
                break
    return Runtime(*wanted.values())


def _fetch(archive: Path) -> None:
    """Let npm fetch the archive, from the registry that it is set up for, and check it."""
    npm = shutil.which("npm")
    if npm is None:
        raise _missing(archive, "npm is not installed; it comes with Node.js (https://nodejs.org)")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".npm-") as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--prefer-offline", "--ignore-scripts"]
        quiet = {**os.environ, "NO_UPDATE_NOTIFIER": "1", "npm_config_loglevel": "error"}
        try:
            done = subprocess.run(
                command, cwd=folder, env=quiet, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise _missing(archive, f"npm took more than {TIMEOUT_S} s") from error
        packed = Path(folder) / archive.name
        if done.returncode or not packed.exists():
            reason = " ".join(done.stderr.replace("npm error", "").split())
            raise _missing(archive, f"npm could not fetch it: {reason[:300] or 'no reason given'}")
        if (found := _sha512(packed)) != SHA512:
            raise _missing(archive, f"npm fetched another file, of sha512 {found}")
        with replacing(archive) as new:
            shutil.move(packed, new)


def _missing(archive: Path, reason: str) -> ArtifactError:
    return ArtifactError(
        f"the page needs {PACKAGE} {VERSION}, which is fetched once ({SIZE_MB} MB): {reason}\n"
        f"  expected: npm and a network, or the file by hand: `npm pack {PACKAGE}@{VERSION}` on a machine "
        f"with both,\n  then copy it to {archive}\n  (sha512 {SHA512})"
    )


def _sha512(path: Path) -> str:
    with path.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
