"""What is known of pretrained weights once they are in a network: whose they are, and what was loaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Audit:
    """What became of every tensor, by its name in the network (`unexpected`: by its name in the file).

    `fresh` was left as the seed made it for the sake of other classes, `skipped` because a choice of the
    spec makes its weights meaningless, `missing` because the file lacks it and the spec allows that.
    `reshaped` was loaded in another shape of as many numbers. `warnings` are sentences to show to people.
    """

    loaded: tuple[str, ...]
    fresh: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """Which weights a network started from. `classes` is None where nothing says how many they know."""

    name: str
    origin: str
    licence: str
    sha256: str
    classes: int | None
    audit: Audit

    def as_json(self) -> dict[str, str | int | None]:
        """Give what an artifact tells of its weights: name, origin, licence, sha256, classes."""
        return {
            "name": self.name,
            "origin": self.origin,
            "licence": self.licence,
            "sha256": self.sha256,
            "classes": self.classes,
        }
