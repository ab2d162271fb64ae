"""What the benchmark of `partial` makes of its epochs."""

from __future__ import annotations

import pytest

from bench.partial import Course


def test_steady_epochs_are_those_after_the_views_are_computed() -> None:
    cached = Course(seconds=[9.0, 9.0, 2.0, 3.0, 2.0], accuracy=0.9, views=2)
    assert cached.steady == 30
    assert cached.overall == pytest.approx(12)
    assert Course(seconds=[4.0, 6.0], accuracy=0.9, views=0).steady == 12
