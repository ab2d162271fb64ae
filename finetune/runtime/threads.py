"""Threads of small matrix products."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


@contextmanager
def one_core_each() -> Iterator[ThreadPoolExecutor]:
    """In this block each product of NumPy uses one core; the pool it yields runs several at a time.

    The small products of a probe gain little from several cores, and on a machine with other work, threads
    that wait for each other make them ten times slower.
    """
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        yield pool
