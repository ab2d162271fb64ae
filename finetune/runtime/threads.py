"""How many cores the products of a small problem may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


@contextmanager
def one_core_each() -> Iterator[ThreadPoolExecutor]:
    """Inside the block NumPy's products run on one core each, and the pool runs several side by side.

    Products as small as those of a probe gain little from many cores, and on a machine that does something
    else as well, threads that wait for each other made them ten times slower.
    """
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        yield pool
