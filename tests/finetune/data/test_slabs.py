"""Images in slabs: copies of what was given, apart from each other, and freed with the last that is used."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from finetune.data.slabs import SLAB_BYTES, Slabs

STATM = Path("/proc/self/statm")


def test_images_are_copies_that_do_not_overlap() -> None:
    slabs, given = Slabs((3, 2, 2)), [torch.full((3, 2, 2), value, dtype=torch.uint8) for value in range(9)]
    kept = [slabs.add(image) for image in given]
    given[4].zero_()
    assert [set(image.flatten().tolist()) for image in kept] == [{value} for value in range(9)]


def test_an_image_larger_than_a_slab_has_one_of_its_own() -> None:
    slabs, side = Slabs((3, 2400, 2400)), 2400
    assert 3 * side * side > SLAB_BYTES
    first, second = (slabs.add(torch.full((3, side, side), value, dtype=torch.uint8)) for value in (1, 2))
    assert (int(first.max()), int(second.min())) == (1, 2)


@pytest.mark.skipif(not STATM.exists(), reason="only Linux tells the memory of a process in /proc")
def test_a_slab_is_freed_with_its_last_image() -> None:
    slabs = Slabs((3, 2400, 2400))
    image = slabs.add(torch.ones(3, 2400, 2400, dtype=torch.uint8))
    before = resident_mb()
    del image
    assert resident_mb() < before - 10


def resident_mb() -> float:
    return int(STATM.read_text().split()[1]) * resource.getpagesize() / 2**20
