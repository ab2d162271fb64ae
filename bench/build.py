"""How long a declared network takes to build, against torchvision's constructor; both skip init."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
import torchvision

import zoo
from zoo.builder.network import build_network, forget_layers

RUNS = 15


@dataclass(frozen=True)
class BuildSpeeds:
    """Best seconds to a network on the processor: Graft's first of its kind, another, and torchvision's."""

    first: float
    again: float
    torchvision: float


def build_speeds(name: str = "resnet50", runs: int = RUNS) -> BuildSpeeds:
    """Time Graft's builder and torchvision's constructor in turn; no weight is drawn on either side."""
    spec = zoo.read_spec(name)
    constructor = getattr(torchvision.models, name)

    def again() -> None:
        build_network(spec, device="cpu")

    def first() -> None:
        forget_layers()
        again()

    with init_skipped():
        return BuildSpeeds(*in_turn(first, again, constructor, runs=runs))


@contextmanager
def init_skipped() -> Iterator[None]:
    """Torch's init functions do nothing in here; on the meta device they would still run and take time."""
    names = [name for name in dir(torch.nn.init) if name.endswith("_") and not name.startswith("_")]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(patch.object(torch.nn.init, name, lambda tensor, *args, **kwargs: tensor))
        yield


def in_turn(*functions: Callable[[], object], runs: int = RUNS) -> list[float]:
    """Best seconds of functions that take turns, after one turn each that does not count."""
    seconds: list[list[float]] = [[] for _ in functions]
    for run in range(runs + 1):
        for function, taken in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            if run:
                taken.append(time.perf_counter() - start)
    return [min(taken) for taken in seconds]
