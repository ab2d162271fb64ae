"""What one run of a benchmark is given; its log tells runs apart by it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Images:
    """A spec and its images. `folder` None: the builtin digits; `classes` None: all, else so many, drawn.

    `images` are the labelled images a class, None for all.
    """

    spec: str
    data: str
    folder: str | None
    classes: int | None
    images: int | None


@dataclass(frozen=True)
class Task(Images):
    """One run, a way in a draw."""

    way: str
    draw: int
