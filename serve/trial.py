"""Load a model of a stranger in a process of its own first, so that a hostile file ends only that process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pixels.processes import command, environment, limit_memory
from serve.artifact import REMEDY, ArtifactError, find_artifact
from serve.model import Model, read_metadata

PROGRAM = "from serve.trial import main; main()"
MEMORY_BYTES = 4_000_000_000
"""What loading and a first small image may take, beside four times the size of the file."""
SECONDS = 180.0
REFUSED = 2


def try_model(path: str | Path) -> None:
    """Load a model file and run it once in another process, within bounded time and memory.

    Raises: ArtifactError if it is missing, damaged, not written by Graft, or reaches a limit.
    """
    found = find_artifact(path)
    read_metadata(found)  # most that is wrong is found without a process
    try:
        done = subprocess.run(
            command(PROGRAM, str(found)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ArtifactError(f"{found}: loading it takes over {SECONDS:g} s. {REMEDY}") from None
    if done.returncode == REFUSED:
        raise ArtifactError(done.stderr.decode(errors="replace").strip())
    if done.returncode:
        end = f"loading it ended its process ({done.returncode}), perhaps by too much memory"
        raise ArtifactError(f"{found}: {end}. {REMEDY}")


def main() -> None:
    """Load the model that the command line names; print why and exit with 2 if it is refused."""
    path = Path(sys.argv[1])
    limit_memory(MEMORY_BYTES + 4 * path.stat().st_size)
    try:
        Model(path, threads=1)
    except ArtifactError as error:
        print(error, file=sys.stderr)
        os._exit(REFUSED)
    os._exit(0)  # without waiting for what the library tears down
