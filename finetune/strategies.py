"""The strategies: which module paths learn, and from what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zoo.errors import GraftError

Parts = Sequence[tuple[str, ...]]
"""For each stage, from the input upward, the module paths that hold its weights."""
Trains = Callable[[str, Parts, int], tuple[str, ...]]


@dataclass(frozen=True)
class Strategy:
    """One way to reach a trained network.

    `trains(head, stages, depth)` names the module paths that learn, `depth` being a number of stages; `probe`
    tells that only a linear classifier on frozen features is fitted; `pretrained` that it needs weights to
    start from.
    """

    name: str
    trains: Trains
    probe: bool
    pretrained: bool
    words: str


STRATEGIES: dict[str, Strategy] = {}


def strategy(*, probe: bool = False, pretrained: bool = True) -> Callable[[Trains], Trains]:
    """Register a function of (head, stages, depth) as a strategy; its docstring is what people read."""

    def register(trains: Trains) -> Trains:
        name = trains.__name__
        assert name not in STRATEGIES, f"two strategies are called {name}"
        words = (trains.__doc__ or "").strip().splitlines()[0]
        STRATEGIES[name] = Strategy(name, trains, probe, pretrained, words)
        return trains

    return register


@strategy(probe=True)
def linear_probe(head: str, stages: Parts, depth: int) -> tuple[str, ...]:
    """a linear classifier on the top stage"""
    return (head,)


@strategy(probe=True)
def stage_probe(head: str, stages: Parts, depth: int) -> tuple[str, ...]:
    """a linear classifier on several stages"""
    return (head,)


@strategy()
def partial(head: str, stages: Parts, depth: int) -> tuple[str, ...]:
    """the head and the top stages fine-tuned"""
    top = stages[max(len(stages) - depth, 0) :]
    return (*(path for parts in top for path in parts), head)


@strategy()
def full(head: str, stages: Parts, depth: int) -> tuple[str, ...]:
    """every stage fine-tuned"""
    return ("",)


@strategy(pretrained=False)
def scratch(head: str, stages: Parts, depth: int) -> tuple[str, ...]:
    """trained from random weights"""
    return ("",)


def find_strategy(name: str) -> Strategy:
    """The strategy of that name.

    Raises: GraftError when there is none.
    """
    if name not in STRATEGIES:
        raise GraftError(f"strategy {name!r} is unknown; expected one of: {', '.join(STRATEGIES)}")
    return STRATEGIES[name]
