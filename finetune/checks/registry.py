"""The sanity checks by name, and the order in which they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from finetune.checks.result import Result
from finetune.checks.subject import Subject

Run = Callable[[Subject], Result]


@dataclass(frozen=True)
class Check:
    """One sanity check. `brief`: it costs a step of training at most, and is done before every run."""

    name: str
    run: Run
    brief: bool
    words: str


CHECKS: dict[str, Check] = {}
ORDER = (
    "inputs",
    "labels",
    "initial_loss",
    "regularisation",
    "initial_weights",
    "activations",
    "frozen",
    "detached",
    "gradient",
    "learning_rate",
    "overfit",
)
"""From what the network is given to what it makes of it: the first to fail often makes others fail."""


def check(*, brief: bool = False) -> Callable[[Run], Run]:
    """Register a function of the subject as a check under its own name; its docstring is what people read."""

    def register(run: Run) -> Run:
        name = run.__name__
        assert name in ORDER, f"{name} has no place in the order of checks"
        assert name not in CHECKS, f"two checks are called {name}"
        CHECKS[name] = Check(name, run, brief, (run.__doc__ or "").strip().splitlines()[0])
        return run

    return register
