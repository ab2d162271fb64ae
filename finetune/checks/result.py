"""What a sanity check has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Result:
    """The outcome of one check: what was found, what was expected, and the way out, a line each.

    `numbers` holds what was measured, for machines. Whatever was `skipped` says why under `found`.
    """

    name: str
    status: Status
    found: str
    expected: str = ""
    way_out: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return self.status == "failed"

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return asdict(self)


def judge(
    name: str,
    ok: bool,
    *,
    found: str,
    expected: str,
    way_out: str,
    numbers: Mapping[str, float] | None = None,
) -> Result:
    """A result that passed or failed; the way out is for those that failed."""
    return Result(
        name, "passed" if ok else "failed", found, expected, "" if ok else way_out, dict(numbers or {})
    )


def skip(name: str, reason: str) -> Result:
    """A check that cannot tell here, and why."""
    return Result(name, "skipped", reason)


def shorten(names: list[str], most: int = 3) -> str:
    """Return the first few names of a list, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
