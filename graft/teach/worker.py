"""The process that learns: it keeps torch and the network at hand, and answers one request after the other.

Requests and replies are one JSON object on each line of standard input and output. First it says `ready`. A
request has `data` and `run`, two folders; its replies are any number of `step`, then `error` or `learned`,
each with `run`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any, TextIO, cast

import numpy as np
from PIL import Image
from rich.console import Console

import finetune
import zoo
from finetune.fit.folds import FewImagesError
from finetune.records.report import Report
from serve.export.trace import tracing_once
from zoo.errors import GraftError

PREFERRED = ("efficientnet_lite0", "resnet_small")
"""Networks to learn with, the best first: the first one whose weights are on this machine is taken."""
FOLDS = 5
SETTINGS = {
    "finetune.strategy": "linear_probe",
    "finetune.report": False,
    "finetune.trackers": [],
    "finetune.precision": {
        "features": "float32 channels_first",  # as the exported file computes
        "training": "float32 channels_first",
    },
    "data.test": 0,
    "data.max_broken": 1,
    "export.parity_images": 20,
}
"""Nothing is measured but the result, and no page is made: a person waits."""
Say = Callable[[str], None]


def choose_network() -> str:
    """Return the name of the network to learn with."""
    found = zoo.specs_with_weights("classification")
    return next((name for name in PREFERRED if name in found), PREFERRED[-1])


def learn(network: str, data: Path, run: Path, say: Say) -> Report:
    """Fit a linear classifier on the frozen network to the images in `data`, and export it, in folder `run`.

    The images are measured on by cross-validation, as far as there are different ones enough in each class;
    where there are not, as with the frames of one video, some are held out.
    Raises: GraftError.
    """
    lines = cast("IO[str]", Lines(say))
    console = Console(file=lines, width=1000, highlight=False, emoji=False, force_terminal=False)
    folds: dict[str, object] = {"finetune.folds": _most_folds(data)}
    while True:
        try:
            return finetune.run(network, str(data), SETTINGS | folds, run, console=console).report
        except FewImagesError as error:
            _clear(run, but=data)
            folds = {"finetune.folds": error.least} if error.least > 1 else {"data.val": 0.3}


def rehearse(network: str) -> None:
    """Learn from images of noise, so that all that is loaded once is loaded when a person presses."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        data = Path(name, "data")
        for label in ("a", "b"):
            (data / label).mkdir(parents=True)
            for number in range(4):
                pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(data / label / f"{number}.png")
        learn(network, data, Path(name, "run"), lambda text: None)


class Lines:
    """A file that hands on each line that is written to it."""

    def __init__(self, say: Say) -> None:
        self.say, self.rest = say, ""

    def write(self, text: str) -> int:
        """Take a part of the text."""
        *lines, self.rest = (self.rest + text).split("\n")
        for line in filter(None, map(str.strip, lines)):
            self.say(line)
        return len(text)

    def flush(self) -> None:
        """Do nothing: a part of a line is kept."""


def main(network: str | None = None) -> None:
    """Answer requests until standard input ends."""
    replies, sys.stdout = _take_output(), sys.stderr

    def reply(**values: object) -> None:
        print(json.dumps(values), file=replies, flush=True)

    requests: SimpleQueue[str | None] = SimpleQueue()
    Thread(target=_read_requests, args=[requests], daemon=True).start()
    network = network or choose_network()
    with tracing_once():
        if requests.empty():  # else a person waits already
            rehearse(network)
        reply(ready=network)
        _answer(network, requests, reply)


def _answer(network: str, requests: SimpleQueue[str | None], reply: Callable[..., None]) -> None:
    while (line := requests.get()) is not None:
        request = json.loads(line)
        answer = partial(reply, run=request["run"])
        try:
            report = learn(network, Path(request["data"]), Path(request["run"]), partial(_say, answer))
            answer(learned=describe(report))
        except (GraftError, OSError) as error:
            answer(error=str(error))


def describe(report: Report) -> dict[str, Any]:
    """Return what the page says of a result."""
    return {
        "network": report.spec,
        "accuracy": asdict(report.intervals["accuracy"]),
        "images": report.measured_images,
        "confusion": report.confusion,
        "labels": list(report.classes),
        "broken": [asdict(file) for file in report.broken],
        "warnings": report.warnings,
        "checked": [export.summary for export in report.exports.values()],
        "seconds": report.seconds,
    }


def _say(answer: Callable[..., None], text: str) -> None:
    answer(step=text)


def _clear(run: Path, but: Path) -> None:
    """Remove all files of a run that was not more than begun, but not the images."""
    for path in run.iterdir():
        if path.is_dir() and path != but:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def _most_folds(data: Path) -> int:
    return min(FOLDS, *(sum(1 for _ in folder.iterdir()) for folder in data.iterdir()))


def _read_requests(requests: SimpleQueue[str | None]) -> None:
    for line in sys.stdin:
        requests.put(line)
    requests.put(None)


def _take_output() -> TextIO:
    """Return standard output for replies alone; what libraries print goes to standard error."""
    mine = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(mine, "w")
