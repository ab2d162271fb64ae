"""The errors of an image that cannot be used."""

from __future__ import annotations


class ImageError(ValueError):
    """An image that cannot be decoded; `reason` says what was found, `name` which image, if known."""

    def __init__(self, reason: str, name: str | None = None) -> None:
        super().__init__(f"{name}: {reason}" if name else reason)
        self.reason = reason
        self.name = name

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str | None]]:
        return type(self), (self.reason, self.name)  # errors are pickled between processes


class TooManyPixelsError(ImageError):
    """An image with more pixels than were asked for."""


class BusyError(Exception):
    """No process became free in time to decode, or they are closed: try again later."""
