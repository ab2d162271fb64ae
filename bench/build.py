"""How long a declared network takes to build, against torchvision's constructor; both skip init."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from unittest.mock import patch

import torch
import torchvision

import zoo
from zoo.network import build_network

RUNS = 15


def build_ratio(name: str = "resnet50") -> tuple[float, float]:
    """Median seconds of Graft and of torchvision to a network on the processor, its weights not drawn."""
    spec = zoo.read_spec(name)
    constructor = getattr(torchvision.models, name)

    def theirs() -> None:
        with init_skipped():
            constructor()

    return in_turn(lambda: build_network(spec).net.to_empty(device="cpu"), theirs)


@contextmanager
def init_skipped() -> Iterator[None]:
    """Torch's init functions do nothing in here; on the meta device they would still run and take time."""
    names = [name for name in dir(torch.nn.init) if name.endswith("_") and not name.startswith("_")]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(patch.object(torch.nn.init, name, lambda tensor, *args, **kwargs: tensor))
        yield


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
