"""Numbers of threads: of torch and NumPy as a whole, and of small matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from threadpoolctl import ThreadpoolController, threadpool_limits  # type: ignore[import-untyped]

from pixels import usable_cores


def limit_threads() -> None:
    """Let torch, NumPy and scikit-learn use no more threads than this process has cores.

    They count the cores themselves, but do not know the limit of a container's processor time.
    """
    cores = usable_cores()
    if torch.get_num_threads() > cores:
        torch.set_num_threads(cores)
    for library in ThreadpoolController().lib_controllers:
        if library.num_threads > cores:
            library.set_num_threads(cores)


@contextmanager
def one_core_each() -> Iterator[ThreadPoolExecutor]:
    """In this block each product of NumPy uses one core; the pool it yields runs several at a time.

    The small products of a probe gain little from several cores, and on a machine with other work, threads
    that wait for each other make them ten times slower.
    """
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(usable_cores()) as pool:
        yield pool
