"""Figures in documents: what a benchmark writes stands between two marks, with the machine beside it."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev

PACKAGES = ("torch", "torchvision", "timm", "onnxruntime")


def machine() -> str:
    """Date, size of the machine and versions, in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name).partition('+')[0]}" for name in PACKAGES)
    return (
        f"{date.today()}, {os.cpu_count()} cores of {platform.machine()}, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, {versions}."
    )


def write_between(path: Path, name: str, text: str) -> None:
    """Put text between `<!-- name -->` and `<!-- /name -->` of a Markdown file.

    Raises ValueError where the marks are missing.
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = path.read_text().partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path}: expected {start} and {end}, to write between them")
    path.write_text(f"{before}{start}\n{text}\n{end}{after}")
    print(f"wrote {path}")


def write_or_print(path: Path, name: str, text: str) -> None:
    """As `write_between`; where the file has no such marks, print the text instead."""
    if f"<!-- {name} -->" in path.read_text():
        write_between(path, name, text)
    else:
        print(text)


def spread(values: list[float]) -> str:
    """`93.1 ± 0.4`."""
    if not values:
        return "—"
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
