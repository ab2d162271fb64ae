"""The error for a normalisation layer that is trained on one value per channel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from zoo.errors import GraftError

ONE_VALUE = "Expected more than 1"
"""How torch begins its errors for a norm that would have the deviation of one value."""


@contextlib.contextmanager
def explain_norms() -> Iterator[None]:
    """Raise a GraftError where a batch of one image leaves a norm one value per channel. Also a decorator."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith(ONE_VALUE):
            raise
        raise GraftError(
            f"a norm of the network cannot train on one value per channel ({error})\n"
            "  expected: finetune.batch_size 2 or more, larger images (input.height and input.width), or a "
            "norm that needs neither (such as choices.norm=group_norm, where the spec has that choice)"
        ) from error
