"""Running the checks, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from finetune.checks import gradients, inputs, labels, learning, overfitting, rates, start  # noqa: F401  (register)
from finetune.checks.registry import CHECKS, ORDER
from finetune.checks.result import Result
from finetune.checks.subject import Subject, undisturbed


def run_checks(subject: Subject, *, brief: bool = False) -> Iterator[Result]:
    """Each check's result as it comes; the run that the subject belongs to is left as it was."""
    for name in ORDER:
        if CHECKS[name].brief or not brief:
            with undisturbed(subject.device):
                result = CHECKS[name].run(subject)
            yield result
