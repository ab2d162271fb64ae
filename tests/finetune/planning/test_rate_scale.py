"""Learning rates follow the size of the weights."""

from __future__ import annotations

import pytest
import torch

from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.planning.rate_scale import MOST, SAME_WITHIN, rate_scale


@pytest.fixture(scope="module")
def setup() -> Setup:
    recipe = read_recipe("resnet_tiny", set={"finetune.weights": "none", "data.val": 0.1, "data.test": 0.8})
    return prepare(recipe, load_data(recipe))


def scaled(setup: Setup, factor: float) -> Setup:
    """Convolutions made larger: the norms behind them hide it, so that the network answers as before."""
    recipe = setup.spec
    other = prepare(recipe, setup.splits)
    with torch.no_grad():
        for module in other.net.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.mul_(factor)
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.mul_(factor)  # type: ignore[union-attr]
                module.running_var.mul_(factor**2)  # type: ignore[union-attr]
    return other


def test_weights_ten_times_as_large_get_a_hundred_times_the_rate(setup: Setup) -> None:
    small, large = rate_scale(scaled(setup, 0.1)), rate_scale(scaled(setup, 10.0))
    assert small < 1 < large
    assert large / small > 1000
    assert large <= MOST


def test_little_differences_are_left_alone(setup: Setup) -> None:
    assert {rate_scale(scaled(setup, factor)) for factor in (0.9, 1.0, 1.1)} == {1.0}
    within = SAME_WITHIN["stored"]
    assert rate_scale(scaled(setup, 2 * within)) > within


def test_the_network_and_the_random_numbers_stay(setup: Setup) -> None:
    before = {name: value.clone() for name, value in setup.net.state_dict().items()}
    state = torch.get_rng_state()
    rate_scale(setup)
    assert all(value.equal(before[name]) for name, value in setup.net.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
