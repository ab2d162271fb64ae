"""metrics.jsonl: one line of numbers an epoch."""

from __future__ import annotations

import json
from pathlib import Path

from finetune.records.run_folder import write_text

Line = dict[str, object]


def append_line(path: Path, line: Line) -> None:
    """Add one line at the end."""
    with path.open("a") as log:
        log.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[Line]:
    """The lines so far; one that a kill cut short is left out."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


def cut_log(path: Path, epochs: int) -> None:
    """Drop the lines of epochs that will be run again."""
    kept = [line for line in read_lines(path) if line["epoch"] <= epochs]  # type: ignore[operator]
    write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
