"""What a plan sets where the spec says `auto`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import zoo
from finetune.data.subset import pick_rows, subset
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.planning.defaults import resolve_defaults
from finetune.planning.evidence import count_images
from finetune.probes.arithmetic import choose_arithmetic
from finetune.records.plan import Cell, Plan
from finetune.strategies import find_strategy


@pytest.fixture(scope="module")
def setup() -> Setup:
    settings = {"finetune.weights": "none", "finetune.precision": "float32", "data.test": 0.3}
    recipe = read_recipe("resnet_tiny", set=settings)
    return choose_arithmetic(prepare(recipe, load_data(recipe)))


def plan_of(
    setup: Setup, side: int, strategy: str = "scratch", cell: Cell | None = None, **settings: object
) -> Plan:
    keys = {f"finetune.{key}": value for key, value in settings.items()}
    spec = zoo.override(setup.spec, {"input.height": side, "input.width": side, **keys})
    setup = replace(setup, spec=spec)
    return resolve_defaults(setup, find_strategy(strategy), cell, (), count_images(setup))


def test_large_images_come_in_smaller_batches_for_as_many_epochs(setup: Setup) -> None:
    small, middle, large = (plan_of(setup, side) for side in (32, 224, 512))
    assert (small.batch_size, middle.batch_size, large.batch_size) == (64, 32, 8)
    assert small.epochs == middle.epochs == large.epochs
    assert middle.learning_rate == pytest.approx(small.learning_rate / 2)
    assert plan_of(setup, 512, batch_size=64).batch_size == 64
    assert plan_of(setup, 4096).batch_size == 4


def test_pretrained_weights_are_trained_with_their_stored_statistics(setup: Setup) -> None:
    assert plan_of(setup, 32, "full").batch_norm == plan_of(setup, 32, "partial").batch_norm == "stored"
    assert plan_of(setup, 32, "full", batch_norm="batch").batch_norm == "batch"
    assert plan_of(setup, 32, "scratch").batch_norm == "batch"


def test_the_rate_for_few_images_falls_with_the_root_of_the_batch_where_much_has_to_change(
    setup: Setup,
) -> None:
    rows = np.arange(0, len(setup.train), 30)
    few = replace(
        setup,
        train=subset(setup.train, rows, seed=0),
        splits=replace(setup.splits, train=pick_rows([setup.splits.train], rows)),
    )
    far, near = ("very little data", "different"), ("very little data", "similar")
    usual = find_strategy("full").learning_rate
    assert plan_of(few, 32, "full", near).batch_size == plan_of(few, 32, "full", far).batch_size == 8
    assert plan_of(few, 32, "full", near).learning_rate == pytest.approx(usual / 8)
    assert plan_of(few, 32, "full", far).learning_rate == pytest.approx(usual / 8**0.5)
    assert plan_of(few, 32, "scratch", far).learning_rate == pytest.approx(
        find_strategy("scratch").learning_rate / 8
    )
    assert plan_of(setup, 32, "full", far).learning_rate == pytest.approx(usual)
    # a batch that is small because of its pixels is no sign of few images
    assert plan_of(setup, 224, "full", far).learning_rate == pytest.approx(usual / 2)
    assert plan_of(few, 512, "full", far).learning_rate == pytest.approx(usual / 8**0.5)
