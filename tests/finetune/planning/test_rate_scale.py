"""Learning rates follow the size of the weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from finetune.config.finetune import PrecisionSettings
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.planning import rate_scale as planning
from finetune.planning.defaults import resolve_defaults
from finetune.planning.evidence import count_images
from finetune.planning.rate_scale import MOST, SAME_WITHIN, rate_scale
from finetune.probes.arithmetic import state_arithmetic
from finetune.runtime.precision import EXACT
from finetune.strategies import STRATEGIES
from zoo import Audit, Origin


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
    assert {rate_scale(scaled(setup, factor)) for factor in (1.0, 1.1, 1.2)} == {1.0}
    assert rate_scale(scaled(setup, 2 * SAME_WITHIN)) > SAME_WITHIN


def test_the_small_weights_of_resnet_tiny_get_a_larger_rate() -> None:
    recipe = read_recipe("specs/resnet_tiny.yaml")
    assert rate_scale(prepare(recipe, load_data(recipe))) > SAME_WITHIN  # at the default, 26 points are lost


def test_the_network_and_the_random_numbers_stay(setup: Setup) -> None:
    before = {name: value.clone() for name, value in setup.net.state_dict().items()}
    state = torch.get_rng_state()
    rate_scale(setup)
    assert all(value.equal(before[name]) for name, value in setup.net.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_the_factor_is_measured_once_and_only_for_rates_that_it_concerns(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Setup] = []

    def measure(setup: Setup) -> float:
        measured.append(setup)
        return 3.0

    monkeypatch.setattr(planning, "rate_scale", measure)
    origin = Origin("planted", "here", "none", "", 10, Audit((), (), ()))
    exact = PrecisionSettings(features=EXACT.name, training=EXACT.name)
    pretrained = state_arithmetic(replace(setup, origin=origin), exact)
    plans = {
        name: resolve_defaults(pretrained, STRATEGIES[name], None, (), count_images(pretrained))
        for name in ("linear_probe", "full", "scratch")
    }
    rates = planning.Rates(pretrained)
    assert rates.suit(plans["linear_probe"]) == plans["linear_probe"]
    assert rates.suit(plans["scratch"]) == plans["scratch"]
    assert measured == []
    for _ in range(2):
        suited = rates.suit(plans["full"])
        assert suited.learning_rate == pytest.approx(3 * plans["full"].learning_rate)
        assert suited.evidence.rate_scale == 3
        assert suited.reasons == ("learning rates are 3 times the default, to suit these weights",)
    assert measured == [pretrained]
