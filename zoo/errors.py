"""Errors of users, in one clear message each: what was found, what was expected, the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from pixels.text import printable
from zoo import limits

SHOWN_LINE_CHARACTERS = 160
COMPARED_NAMES = 2000
USUAL_MISTAKES = {  # names that other libraries use, and what they are called here
    "lr": ("learning_rate",),
    "path": ("folder", "file"),
    "dir": ("folder",),
    "xavier": ("xavier_uniform",),
    "glorot": ("xavier_uniform",),
    "kaiming": ("kaiming_normal",),
    "he": ("kaiming_normal",),
    "filters": ("out",),
    "units": ("out",),
    "out_channels": ("out",),
    "out_features": ("out",),
    "kernel_size": ("kernel",),
    "size": ("kernel",),
    "rate": ("p", "learning_rate"),
    "dense": ("linear",),
    "fc": ("linear",),
    "bn": ("batch_norm",),
    "lrn": ("local_response_norm",),
    "swish": ("silu",),
    "activation": ("act",),
    "dropout": ("drop",),
}


class GraftError(Exception):
    """Base of every error that a user can cause and mend; `str(error)` is the whole message."""


class UnknownNameError(GraftError):
    """A name that is not in a registry."""


class WeightsError(GraftError):
    """Weights that cannot be found, trusted or loaded into the network."""


class WeightsUnavailableError(WeightsError):
    """Weights that are not on this machine and cannot be downloaded now."""


@dataclass(frozen=True)
class Mark:
    """A place in a file: `line` and `column` count from 1; `text` is the whole line, `length` in characters.

    Line 0 stands for a value given on the command line, where `text` is what was typed.
    """

    file: str
    line: int
    column: int
    text: str
    length: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One mistake: its place in the file, its dotted place in the spec (`where`), and what would be right."""

    mark: Mark | None
    where: str
    message: str
    expected: str = ""
    suggestion: str = ""

    def render(self) -> str:
        """Return the message, the source line with carets under the mistake, and the hints."""
        parts = (str(self.mark or ""), self.where, self.message)
        head = ": ".join(_shorten(part) for part in parts if part)
        hints = []
        if self.expected:
            hints.append(f"expected: {_shorten(self.expected)}")
        if self.suggestion:
            hints.append(f"did you mean '{self.suggestion}'?")
        lines = [head, *_source_lines(self.mark)]
        if hints:
            lines.append("  " + "      ".join(hints))
        return "\n".join(lines)


class SpecError(GraftError):
    """Everything that is wrong with a spec: `problems`, in the order of the file, up to a limit."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        unique = list(dict.fromkeys(problems))[: limits.MAX_PROBLEMS]
        files = list(dict.fromkeys(problem.mark.file for problem in unique if problem.mark))
        self.problems: tuple[Problem, ...] = tuple(sorted(unique, key=lambda p: _place(p, files)))
        lines = [problem.render() for problem in self.problems]
        if len(unique) == limits.MAX_PROBLEMS:
            lines.append(f"only the first {limits.MAX_PROBLEMS} mistakes are shown")
        super().__init__("\n".join(lines))


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the name among `names` that is most like `name` or means the same; '' when none is near.

    Of many names, only the first are compared.
    """
    if len(name) > limits.MAX_NAME:
        return ""
    by_lower = {
        known.lower(): known for known in islice(names, COMPARED_NAMES) if len(known) <= limits.MAX_NAME
    }
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    meant = [known for known in USUAL_MISTAKES.get(name.lower(), ()) if known in by_lower]
    return by_lower[[*meant, *found][0]] if meant or found else ""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the question that ends a message, `; did you mean 'x'?`, '' when no name is near."""
    near = nearest(name, names)
    return f"; did you mean '{near}'?" if near else ""


def _place(problem: Problem, files: Sequence[str]) -> tuple[int, int, int]:
    mark = problem.mark
    return (files.index(mark.file), mark.line, mark.column) if mark else (len(files), 0, 0)


def _source_lines(mark: Mark | None) -> list[str]:
    if mark is None:
        return []
    text, start = mark.text, mark.column - 1
    if len(text) > SHOWN_LINE_CHARACTERS:  # a line of data: show the part around the mistake
        cut = max(0, start - SHOWN_LINE_CHARACTERS // 2)
        text, start = text[cut : cut + SHOWN_LINE_CHARACTERS], start - cut
    text = printable(text.rstrip())
    if not text.strip():
        return []
    carets = min(mark.length, max(1, len(text) - start))
    indent = "".join("\t" if character == "\t" else " " for character in text[:start])
    return [f"    {text}", f"    {indent}{'^' * carets}"]


def _shorten(text: str) -> str:
    return text if len(text) <= limits.MAX_SHOWN else f"{text[: limits.MAX_SHOWN]} …"
