"""How long a strategy would take, and that a budget is kept to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

import zoo
from finetune.api import run
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.planning.choose import choose_plan
from finetune.planning.defaults import resolve_defaults
from finetune.planning.evidence import count_images
from finetune.planning.forecast import cut_to_budget, forecast_plan
from finetune.records.evidence import Forecast
from finetune.strategies import find_strategy
from zoo.errors import GraftError

pytestmark = pytest.mark.usefixtures("unexported")

QUICK: dict[str, object] = {"data.val": 0.3, "data.test": 0.6, "finetune.precision": "float32"}


def set_up(spec: str | Path, **more: object) -> Setup:
    recipe = read_recipe(spec, set=QUICK | {f"finetune.{key}": value for key, value in more.items()})
    return prepare(recipe, load_data(recipe))


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spec")
    save_file(zoo.build("resnet_tiny", seed=3).state_dict(), folder / "own.safetensors")
    (folder / "spec.yaml").write_text("extends: resnet_tiny\nweights: {default: {file: own.safetensors}}\n")
    return folder / "spec.yaml"


def test_minutes_follow_from_the_speed_and_the_images() -> None:
    setup = set_up("lenet5", weights="none", epochs=6)
    plan = choose_plan(setup)
    forecast = forecast_plan(setup, plan)
    images = 6 * (len(setup.train) + len(setup.val) / 3)
    assert forecast.epochs == 6
    assert forecast.minutes == pytest.approx(images / forecast.images_per_s / 60, abs=0.01)


def test_a_frozen_trunk_is_faster_and_the_setup_does_not_change(spec: Path) -> None:
    setup = set_up(spec, strategy="full", **{"partial.views": "none", "partial.stages": 1})
    before, state = torch.get_rng_state(), {k: v.clone() for k, v in setup.net.state_dict().items()}
    plans = [
        resolve_defaults(setup, find_strategy(name), None, (), count_images(setup))
        for name in ("full", "partial")
    ]
    full, top = (max(forecast_plan(setup, plan).images_per_s for _ in range(3)) for plan in plans)
    assert top > 1.3 * full
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, state[name]) for name, value in setup.net.state_dict().items())


def test_cached_stages_shorten_the_forecast(spec: Path) -> None:
    found = {}
    for views in ("none", 2):
        setup = set_up(spec, epochs=40, **{"partial.views": views, "partial.stages": 1})
        plan = resolve_defaults(setup, find_strategy("partial"), None, (), count_images(setup))
        forecasts = [forecast_plan(setup, plan) for _ in range(3)]  # other work may slow one of them down
        found[views] = max(forecasts, key=lambda each: each.images_per_s)
    assert found[2].images_per_s > 1.3 * found["none"].images_per_s
    assert found[2].minutes < found["none"].minutes


def test_small_images_shorten_the_forecast() -> None:
    small = {"initial_scale": 0.5, "delay_fraction": 0.5, "finetune_fraction": 0.5}
    setup = set_up("specs/resnet_tiny.yaml", weights="none", epochs=6, progressive_resizing=small)
    forecast = forecast_plan(
        setup, resolve_defaults(setup, find_strategy("scratch"), None, (), count_images(setup))
    )
    images = 6 * (len(setup.train) * (0.25 + 1) / 2 + len(setup.val) / 3)
    assert forecast.minutes == pytest.approx(images / forecast.images_per_s / 60, abs=0.01)


def test_an_adversarial_attack_lengthens_the_forecast() -> None:
    found = {}
    for attack in ("none", {"fgsm": {}}):
        setup = set_up("specs/resnet_tiny.yaml", weights="none", adversarial=attack)
        plan = resolve_defaults(setup, find_strategy("scratch"), None, (), count_images(setup))
        found[str(attack)] = max(forecast_plan(setup, plan).images_per_s for _ in range(3))
    plain, attacked = found.values()
    assert plain > 1.8 * attacked


def test_every_member_of_a_bag_is_counted() -> None:
    setup = set_up("lenet5", weights="none", epochs=6, ensemble={"bagging": 3})
    forecast = forecast_plan(
        setup, resolve_defaults(setup, find_strategy("scratch"), None, (), count_images(setup))
    )
    images = 18 * (len(setup.train) + len(setup.val) / 3)
    assert (forecast.epochs, forecast.trainings) == (6, 3)
    assert forecast.minutes == pytest.approx(images / forecast.images_per_s / 60, abs=0.01)


def test_training_again_after_stopping_is_counted() -> None:
    found = {}
    for way in ("keep", "retrain", "continue"):
        setup = set_up("lenet5", weights="none", epochs=600, after_stopping=way)
        found[way] = forecast_plan(
            setup, resolve_defaults(setup, find_strategy("scratch"), None, (), count_images(setup))
        )
    assert (found["keep"].trainings, found["retrain"].trainings) == (1, 2)
    images = 600 * (len(setup.train) + len(setup.val) / 3)
    both = 600 * (len(setup.train) + len(setup.val) * (1 + 1 / 3))
    for way, shown in (("keep", images), ("retrain", 2 * images), ("continue", images + both)):
        assert found[way].minutes == pytest.approx(shown / found[way].images_per_s / 60, rel=0.02)


def test_a_teacher_lengthens_the_forecast(tmp_path: Path) -> None:
    short = QUICK | {"finetune.weights": "none", "finetune.epochs": 1}
    run("specs/resnet_tiny.yaml", set=short, run=tmp_path / "teacher", console=Console(quiet=True))
    teacher = {"run": str(tmp_path / "teacher")}
    setup = set_up("specs/resnet_tiny.yaml", weights="none", epochs=60, distill=teacher)
    forecast = forecast_plan(
        setup, resolve_defaults(setup, find_strategy("scratch"), None, (), count_images(setup))
    )
    alone = 60 * (len(setup.train) + len(setup.val) / 3) / forecast.images_per_s / 60
    assert forecast.minutes > alone + 0.01


def test_no_plan_is_made_with_a_teacher_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match=r"finetune.distill.run: .* has no trained network"):
        choose_plan(set_up("lenet5", weights="none", distill={"run": str(tmp_path)}))


def test_compare_forecasts_the_possible_strategies(spec: Path) -> None:
    compared = choose_plan(set_up(spec, strategy="full"), compare=True).evidence.forecasts
    assert set(compared) == {"partial", "full", "scratch"}
    alone = choose_plan(set_up("lenet5", weights="none"), compare=True).evidence.forecasts
    assert set(alone) == {"scratch"}


def test_epochs_are_cut_to_the_budget() -> None:
    plan = replace(choose_plan(set_up("lenet5", weights="none")), epochs=20)
    forecast = Forecast(epochs=20, images_per_s=100.0, minutes=4.0)
    assert cut_to_budget(plan, forecast, 5.0) == plan
    assert cut_to_budget(plan, forecast, 1.0).epochs == 5
    assert cut_to_budget(plan, forecast, 0.001).epochs == 1
    assert cut_to_budget(plan, replace(forecast, trainings=2), 1.0).epochs == 5
    assert cut_to_budget(plan, replace(forecast, minutes=0.0), -1.0).epochs == 1
    assert "5 of 20 epochs fit" in cut_to_budget(plan, forecast, 1.0).reasons[-1]


def test_a_run_keeps_to_its_budget(tmp_path: Path) -> None:
    values = QUICK | {"finetune.budget_minutes": 1e-4, "finetune.weights": "none", "finetune.epochs": 30}
    done = run("specs/lenet5.yaml", set=values, run=tmp_path / "run", console=Console(quiet=True))
    assert done.plan.epochs < 30
