"""Names that are not known, and the ones that were meant."""

from __future__ import annotations

import pytest

import zoo
from zoo.errors import nearest


@pytest.mark.parametrize(
    ("name", "names", "meant"),
    [
        ("kernal", ["out", "kernel"], "kernel"),
        ("Conv", ["conv", "linear"], "conv"),
        ("lr", ["clip", "learning_rate"], "learning_rate"),
        ("path", ["folder", "parquet"], "folder"),
        ("xavier", ["xavier_normal", "xavier_uniform"], "xavier_uniform"),
        ("lr", ["out", "kernel"], ""),
        ("wide", ["out", "kernel"], ""),
    ],
)
def test_nearest_name(name: str, names: list[str], meant: str) -> None:
    assert nearest(name, names) == meant


def test_sections_give_the_name_that_was_meant() -> None:
    with pytest.raises(zoo.SpecError) as caught:
        zoo.read_spec("lenet5", {"finetune.lr": 0.1, "data.path": "photos"})
    assert [problem.suggestion for problem in caught.value.problems] == ["learning_rate", "folder"]
