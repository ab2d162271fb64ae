"""A prior of round numbers, and correct answers that are easily counted."""

from __future__ import annotations

import numpy as np

from finetune.planning.race.prior import Prior
from finetune.records.estimate import Correct
from finetune.strategies import racing_names


def make_prior(lead: float = 0.2, growth: float = 0.1, *, spread: float = 0.1) -> Prior:
    """All but the first lead by so much, and all but the probes grow by so much."""
    leads, grows = np.array([0, lead, lead, lead]), np.array([0, 0, growth, growth])
    return Prior(
        racing_names(),
        leads,
        np.diag([0, 1, 1, 1]) * spread**2,
        grows,
        np.diag([0.01, 0.01, 1, 1]) * spread**2,
    )


def answers(right: int, of: int = 100, *, asked: int | None = None) -> Correct:
    """Correct on the first ones; not asked from `asked` on."""
    values = np.repeat([1.0, 0.0], [right, of - right])
    values[of if asked is None else asked :] = np.nan
    return values
