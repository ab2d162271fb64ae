"""What the recipe's switches take and refuse."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from finetune.config.optim import OptimSettings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": {"timm": {"name": "lyon"}}}, "no optimizer 'lyon' in timm"),
        ({"optimizer": {"timm": {"name": "adahessian"}}}, "no optimizer 'adahessian' in timm"),
        ({"optimizer": {"timm": {"name": "fusedadam"}}}, "no optimizer 'fusedadam' in timm"),
        ({"optimizer": {"timm": {"name": "lion", "options": {"beta": 1}}}}, "lion takes no option 'beta'"),
        ({"optimizer": {"timm": {"name": "lion", "options": {"lr": 1}}}}, "lion takes no option 'lr'"),
        (
            {"optimizer": {"timm": {"name": "lion", "options": {"betas": "high"}}}},
            "does not accept its options",
        ),
        ({"optimizer": {"timm": {"name": "lion", "options": {"betas": [0.9, 2]}}}}, "Invalid beta parameter"),
        ({"optimizer": {"sgd": {"momentum": 1.0}}}, "Input should be less than 1"),
        ({"optimizer": {"adam": {"betas": [0.9]}}}, "List should have at least 2 items"),
        (
            {"clip": {"norm": 1.0, "value": 2.0}},
            "expected one of norm, value, adaptive; found norm and value",
        ),
        ({"clip": {}}, "expected one of norm, value, adaptive; found none of them"),
        ({"ensemble": {"snapshots": 3}}, "3 snapshots need as many cosine cycles"),
        (
            {"ensemble": {"snapshots": 4}, "schedule": {"cosine_restarts": {"cycles": 3}}},
            "found cosine_restarts with 3",
        ),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OptimSettings.model_validate(settings)


def test_options_of_timm_are_accepted() -> None:
    spec = {"optimizer": {"timm": {"name": "lookahead_lamb", "options": {"betas": [0.8, 0.9], "eps": 1e-5}}}}
    assert OptimSettings.model_validate(spec).optimizer.args["options"]["eps"] == 1e-5


def test_none_switches_off_and_survives_a_round_trip() -> None:
    settings = OptimSettings.model_validate({"clip": "none", "warm_up": "none", "ema": {"decay": 0.9}})
    assert settings.clip is None
    assert settings.warm_up is None
    assert OptimSettings.model_validate_json(settings.model_dump_json()) == settings
    assert {"const": "none"} in OptimSettings.model_json_schema()["properties"]["clip"]["anyOf"]
