"""What the validation images say about a network's answers, and how far that holds on the test images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A measured value with its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def percent(self) -> str:
        """The interval of a share as text, such as `97.2% (95.0 to 98.4)`."""
        return f"{self.value:.1%} ({100 * self.low:.1f} to {100 * self.high:.1f})"

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Change:
    """A value before and after; `difference` is after less before, measured on the same images."""

    before: Interval
    after: Interval
    difference: Interval


@dataclass(frozen=True)
class Calibration:
    """What was fitted to `images` validation images, and is part of the exported file.

    Logits are divided by `temperature`. The classes with at least `set_probability` hold the right one in a
    share of `set_level` of images; it is None where nothing can be promised. `kept` is the share of the
    validation images that count as like the training images.
    """

    images: int
    temperature: float
    set_probability: float | None
    set_level: float
    kept: float


@dataclass(frozen=True)
class AnswerQuality:
    """How good probabilities, sets of classes and the limit for unknown images are.

    `log_loss` is in nats per image, `calibration_error` the expected calibration error, both before and after
    the temperature. `coverage` is the share of sets that hold the right class, `set_size` the mean number of
    classes in a set; None where there are no sets. `kept` is the share of images that count as like the
    training images.
    """

    log_loss: Change
    calibration_error: Change
    kept: Interval
    coverage: Interval | None = None
    set_size: float | None = None
