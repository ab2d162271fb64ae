"""The values of a search: rounding, choices, smaller ranges."""

from __future__ import annotations

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import zoo
from finetune.config import FinetuneSettings, get_section
from finetune.config.search import Range
from finetune.search.space import decode, narrow_space, override_values

SPACE = {
    "rate": Range(log=[1e-4, 1.0]),
    "share": Range(uniform=[0.0, 2.0]),
    "size": Range(int=[8, 64]),
    "optimizer": Range(choice=["sgd", {"adamw": {"eps": 1e-6}}, None]),
}


def test_stored_parameters_become_values_of_the_spec() -> None:
    params = {"rate": 0.012345678, "share": 1.99999999, "size": 12, "optimizer": '{"adamw": {"eps": 1e-06}}'}
    values = {"rate": 0.01235, "share": 2.0, "size": 12, "optimizer": {"adamw": {"eps": 1e-6}}}
    assert decode(params, SPACE) == values
    assert decode({"optimizer": "null"}, SPACE) == {"optimizer": None}
    assert decode({"rate": 0.123456}, {"rate": Range(log=[0.1, 0.123456])}) == {"rate": 0.1235 - 0.000044}


@given(
    st.lists(st.floats(1e-4, 1.0), min_size=1, max_size=3),
    st.lists(st.integers(8, 64), min_size=1, max_size=1),
    st.integers(1, 30),
)
def test_smaller_ranges_lie_within_the_old_ones_around_the_best(
    rates: list[float], sizes: list[int], trials: int
) -> None:
    best = [{"rate": rate, "share": 1.0, "size": sizes[0], "optimizer": "sgd"} for rate in rates]
    fine = narrow_space(SPACE, best, trials)
    low, high = fine["rate"].chosen[1]
    assert 1e-4 <= low <= min(rates)
    assert max(rates) <= high <= 1.0
    spread = math.log10(max(rates) / min(rates))
    assert math.log10(high / low) <= spread + 4 * 2 / trials + 1e-9  # four decades, a margin on both sides
    low, high = fine["size"].chosen[1]
    assert 8 <= low <= sizes[0] <= high <= 64
    assert fine["optimizer"].chosen[1] == ["sgd"]


def test_a_mapping_replaces_what_stands_in_the_spec(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("extends: lenet5\nfinetune: {optimizer: {sgd: {momentum: 0.5}}}\n")
    spec = override_values(zoo.read_spec(path), {"finetune.optimizer": {"adamw": {"eps": 1e-6}}})
    optimizer = get_section(spec, FinetuneSettings).optimizer
    assert (optimizer.op, optimizer.args["eps"]) == ("adamw", 1e-6)
    kept = override_values(zoo.read_spec(path), {"finetune.optimizer.sgd.nesterov": False})
    assert get_section(kept, FinetuneSettings).optimizer.args == {"momentum": 0.5, "nesterov": False}
