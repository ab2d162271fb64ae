"""What tests of the zoo share."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread: on tiny images, threads that wait for each other cost more than they give."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def within_3_cpu_seconds() -> Iterator[None]:
    """Check that a test of hostile input takes little time."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 3.0
