"""Similarity from features alone, on planted ones."""

from __future__ import annotations

import numpy as np
import pytest

from finetune.evidence import measure_likeness
from finetune.probe import Probe, fit_probe
from finetune.taps import HEAD

TARGETS = np.repeat(np.arange(3), 20)


def probe(distance: float, seed: int) -> Probe:
    """A probe of features in which the classes lie `distance` standard deviations apart."""
    noise = np.random.default_rng(seed).normal(size=(60, 6))
    return fit_probe((noise + distance * np.eye(6)[TARGETS]).astype(np.float32), TARGETS)


@pytest.mark.parametrize(
    ("top", "early", "similar"),
    [(4.0, 1.0, True), (1.0, 4.0, False), (4.0, 4.0, True)],
    ids=["the top knows them", "an earlier stage knows them better", "both know them"],
)
def test_similarity_is_what_the_top_stage_knows_best(top: float, early: float, similar: bool) -> None:
    likeness = measure_likeness({"layer1": probe(early, 1), "layer2": probe(0.5, 2), HEAD: probe(top, 3)})
    assert likeness.similar is similar
    assert likeness.rival == "layer1"
    assert ("similar" in likeness.words()[1]) is similar
    assert f"{likeness.ahead.value:+.3f}" in likeness.words()[0]


def test_a_network_of_one_stage_has_no_rival() -> None:
    likeness = measure_likeness({HEAD: probe(2.0, 1)})
    assert likeness.similar
    assert likeness.ahead.value == 0
