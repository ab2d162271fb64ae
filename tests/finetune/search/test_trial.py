"""One trial: what it shares, what it starts from, and when it is stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from search_kit import prepare_shared, write_spec

from finetune.data import Split
from finetune.data.dataset import ImageDataset
from finetune.engine.callbacks import DivergedError
from finetune.records.metrics_log import read_records
from finetune.search.trial import Shared, run_trial, trial_plan, trial_setup
from zoo.errors import GraftError

pytestmark = pytest.mark.usefixtures("unexported")

Reports = list[tuple[int, float, float]]

PRETRAINED = """\
extends: resnet_tiny
name: digits
augment: []
data: {folder: FOLDER}
finetune: {precision: float32, batch_size: 8, strategy: STRATEGY, checks: none}
search: {space: {finetune.learning_rate: {log: [1e-3, 1e-2]}}, epochs: 1}
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    return prepare_shared(write_spec(tmp_path_factory.mktemp("trial")))


class Unreadable:
    """An image of the test split: nobody may look at it."""

    name = key = "hidden"

    def read(self) -> NDArray[np.uint8]:
        raise AssertionError("a trial looked at the test split")

    def digest(self) -> str:
        raise AssertionError("a trial looked at the test split")


def run(shared: Shared, folder: Path, **values: object) -> Reports:
    reports: Reports = []
    run_trial(shared, values, folder, lambda epoch, score, loss: reports.append((epoch, score, loss)))
    return reports


@pytest.mark.usefixtures("seeded")
def test_a_trial_starts_afresh_and_never_looks_at_the_test_split(shared: Shared, tmp_path: Path) -> None:
    test = Split((Unreadable(),), np.zeros(1, np.int64), np.zeros(1, np.int64))
    splits = replace(shared.setup.splits, test=test)
    dataset = ImageDataset(test, shared.setup.preprocess)
    hidden = replace(shared, setup=replace(shared.setup, splits=splits, test=dataset))
    before = {name: value.clone() for name, value in hidden.setup.net.state_dict().items()}
    first, second = (run(hidden, tmp_path / name, **{"finetune.learning_rate": 0.1}) for name in ("a", "b"))
    assert first == second
    assert [epoch for epoch, _, _ in first] == [1, 2]
    assert all(torch.equal(value, before[name]) for name, value in hidden.setup.net.state_dict().items())
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["metrics.jsonl"]
    assert run(hidden, tmp_path / "c", **{"finetune.learning_rate": 0.01}) != first


@pytest.mark.usefixtures("seeded")
def test_a_trial_that_diverges_is_stopped_early(shared: Shared, tmp_path: Path) -> None:
    reports: Reports = []
    with pytest.raises(DivergedError, match="over three times its start, 2"):
        run_trial(shared, {"finetune.learning_rate": 1e6}, tmp_path, lambda *numbers: reports.append(numbers))
    assert not reports
    assert not read_records(tmp_path / "metrics.jsonl")


def test_trials_share_pixels_and_rebuild_only_what_they_change(shared: Shared) -> None:
    fast = trial_setup(shared, {"finetune.learning_rate": 0.1})
    assert fast.train is shared.setup.train
    assert fast.net is not shared.setup.net
    other = trial_setup(shared, {"choices.norm": "batch_norm"})
    assert {type(module) for module in other.net.modules()} > {type(module) for module in fast.net.modules()}
    assert other.train.pixels is shared.setup.train.pixels
    assert other.spec.input == shared.setup.spec.input
    larger = trial_setup(shared, {"input.resize": "pad"})
    assert larger.train.pixels is not shared.setup.train.pixels
    assert larger.spec.input.resize == "pad"


@pytest.mark.usefixtures("seeded")
def test_values_that_the_rest_of_the_spec_does_not_allow_are_refused(shared: Shared, tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="l2_sp ties weights to pretrained ones"):
        run(shared, tmp_path, **{"finetune.l2_sp": {"alpha": 0.1}})
    with pytest.raises(GraftError, match="partial needs pretrained weights"):
        run(shared, tmp_path, **{"finetune.strategy": "partial", "finetune.weights": "none"})


def pretrained(folder: Path, strategy: str) -> Shared:
    return prepare_shared(write_spec(folder, PRETRAINED.replace("STRATEGY", strategy)))


def test_a_trial_starts_from_the_head_that_the_plan_names(tmp_path: Path) -> None:
    shared = pretrained(tmp_path, "full")
    scores = {}
    for head in ("fresh", "probe"):
        values = {"finetune.head": head, "finetune.learning_rate": 1e-9}
        run_trial(
            shared, values, tmp_path / head, lambda *report, head=head: scores.update({head: report[1]})
        )
    assert scores["probe"] > 2 * scores["fresh"]


def test_a_trial_trains_to_the_depth_that_was_measured(tmp_path: Path) -> None:
    shared = pretrained(tmp_path, "partial")
    assert trial_plan(shared, trial_setup(shared, {})).trains == shared.plan.trains
    deeper = trial_plan(shared, trial_setup(shared, {"finetune.partial": {"stages": 3}}))
    assert len(deeper.trains) > len(shared.plan.trains)
