"""The process that learns, seen from the page: started once, asked for one lesson after the other."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.teach.lesson import LessonError
from pixels.processes import command, environment

PROGRAM = "import sys; from graft.teach.worker import main; main(*sys.argv[1:])"
ENDED = "The process that learns has ended unexpectedly. Your images are kept: press Teach again."
LOADING = "The network is loaded first; the next time, this is not needed"
LOOKING = "Looking at the images"


def temporary_folder() -> str:
    """Return where the demo keeps its temporary files, which are removed when it ends."""
    return os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()


@dataclass(frozen=True)
class Learned:
    """A finished lesson: the folder of its run, and what the worker says of the result."""

    run: Path
    result: dict[str, Any]


class Teacher:
    """Learns one lesson at a time, in a process that starts by `start` or when it is first needed.

    `network` is the spec to learn with, by default the best one whose weights are on this machine. Safe to
    use from several threads.
    """

    def __init__(self, network: str | None = None) -> None:
        self._arguments = [] if network is None else [network]
        self._process: subprocess.Popen[str] | None = None
        self._ready = False
        self._starting, self._turn = threading.Lock(), threading.Lock()

    def start(self) -> subprocess.Popen[str]:
        """Start the process unless it runs, without waiting until it is ready."""
        with self._starting:
            if self._process is None or self._process.poll() is not None:
                self._ready = False
                self._process = subprocess.Popen(
                    command(PROGRAM, *self._arguments),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=os.environ
                    | {"PYTHONPATH": environment()["PYTHONPATH"], "TMPDIR": temporary_folder()},
                )
            return self._process

    def teach(self, data: Path, run: Path) -> Iterator[str | Learned]:
        """Learn from the folders of images in `data`, in folder `run`; give what is done, then the result.

        Raises: LessonError with the reason when nothing can be learned.
        """
        with self._turn:
            process = self.start()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                print(json.dumps({"data": str(data), "run": str(run)}), file=process.stdin, flush=True)
            except OSError as error:
                raise LessonError(ENDED) from error
            yield LOOKING if self._ready else LOADING
            for line in process.stdout:
                reply = json.loads(line)
                if "ready" in reply:
                    self._ready = True
                    yield LOOKING
                    continue
                if reply["run"] != str(run):
                    continue  # of a lesson whose page was closed
                if "error" in reply:
                    raise LessonError(reply["error"])
                if "learned" in reply:
                    yield Learned(run, reply["learned"])
                    return
                yield reply["step"]
            raise LessonError(ENDED)

    def close(self) -> None:
        """End the process."""
        with self._starting:
            if self._process is not None:
                self._process.kill()
                self._process.wait()
                self._process = None
