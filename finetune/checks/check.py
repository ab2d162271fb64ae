"""A sanity check and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from finetune.checks.subject import Subject
from finetune.runtime.seeds import keep_random_state

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Result:
    """The result of one check: what was found, what was expected, and advice if it failed, one line each.

    `numbers` holds what was measured. A skipped check says why in `found`.
    """

    status: Status
    found: str
    expected: str = ""
    advice: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    name: str = ""

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return self.status == "failed"


@dataclass(frozen=True)
class Check:
    """One sanity check. A brief one costs at most one training step and is made before every run."""

    name: str
    function: Callable[[Subject], Result]
    brief: bool
    description: str

    def run(self, subject: Subject) -> Result:
        """Make the check. The run that the subject belongs to does not change."""
        with keep_random_state(subject.device):
            return replace(self.function(subject), name=self.name)


def check(*, brief: bool = False) -> Callable[[Callable[[Subject], Result]], Check]:
    """Make a function a check; users see its name and the first line of its docstring."""

    def decorate(function: Callable[[Subject], Result]) -> Check:
        description = (function.__doc__ or "").strip().splitlines()[0]
        return Check(function.__name__, function, brief, description)

    return decorate


def judge(
    passed: bool, *, found: str, expected: str, advice: str, numbers: Mapping[str, float] | None = None
) -> Result:
    """Return a result that passed or failed; one that passed has no advice."""
    status: Status = "passed" if passed else "failed"
    return Result(status, found, expected, "" if passed else advice, numbers or {})


def skip(reason: str) -> Result:
    """Return the result of a check that cannot decide."""
    return Result("skipped", reason)


def shorten(names: list[str], most: int = 3) -> str:
    """Return the first few names of a list, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
