"""Memory that is freed is not given back: large tensors one after the other find the same pages."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from finetune.runtime.memory import keep_freed_memory

FLOATS, PAGE_BYTES = 10 << 20, resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_the_next_large_tensor_takes_no_new_pages() -> None:
    keep_freed_memory()
    pages_taken(12)  # the heap grows, and has gaps that are too small by a few bytes
    assert pages_taken(4) < FLOATS * 4 / PAGE_BYTES  # without it, each of the four takes all its pages anew


def pages_taken(tensors: int) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(tensors):
        torch.ones(FLOATS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
