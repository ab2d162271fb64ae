"""How long a declared network takes to build, against torchvision's own constructor, both without weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
import torchvision

import zoo
from zoo.network import build_network

RUNS = 15


def build_ratio(name: str = "resnet50") -> tuple[float, float]:
    """Median seconds of Graft and of torchvision, on the meta device, so that neither draws weights."""
    spec = zoo.read_spec(name)
    constructor = getattr(torchvision.models, name)

    def theirs() -> None:
        with torch.device("meta"):
            constructor()

    return in_turn(lambda: build_network(spec), theirs)


def in_turn(
    ours: Callable[[], object], theirs: Callable[[], object], runs: int = RUNS
) -> tuple[float, float]:
    """Median seconds of two functions that take turns, after one turn each that does not count."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for run in range(runs + 1):
        for function, taken in zip((ours, theirs), seconds, strict=True):
            start = time.perf_counter()
            function()
            if run:
                taken.append(time.perf_counter() - start)
    return median(seconds[0]), median(seconds[1])
