"""What may be wrong with a user's data."""

from __future__ import annotations

from zoo.errors import GraftError


class DataError(GraftError):
    """Data that cannot be trained on, with what was found, what was expected and the way out."""
