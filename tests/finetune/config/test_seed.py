"""A seed is a number that every library takes."""

from __future__ import annotations

from pathlib import Path

import pytest

import zoo


@pytest.mark.parametrize("key", ["finetune.seed", "search.seed"])
@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused_when_it_is_read(key: str, seed: int) -> None:
    with pytest.raises(zoo.SpecError, match=f"{key}: found the number {seed}"):
        zoo.read_spec(Path("specs/lenet5.yaml"), {key: seed})
