"""The arithmetic of a run: obeyed where the spec states it, measured once where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from subject_kit import digits, write_tiny

import zoo
from finetune.config.finetune import PrecisionSettings
from finetune.experiment.recipe import read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.probes import arithmetic
from finetune.probes.arithmetic import choose_arithmetic
from finetune.probes.network import network_features
from finetune.runtime.precision import EXACT, Precision

SPEC = "specs/resnet_tiny.yaml"  # its weights lie beside it


def set_up(path: Path | str, given: Mapping[str, object]) -> Setup:
    return prepare(read_recipe(path, set=given), digits())


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What is measured, training or not; the fastest is always the same."""
    calls: list[bool] = []

    def measure(*_: object, backward: bool, autocast: bool | None) -> Precision:
        calls.append(backward)
        return Precision(autocast=backward, channels_last=not backward)

    monkeypatch.setattr(arithmetic, "fastest_precision", measure)
    return calls


def test_float32_is_float32_in_the_frozen_pass_too(tmp_path: Path, measured: list[bool]) -> None:
    given = {"finetune.precision": "float32", "finetune.cache": str(tmp_path)}
    setup = choose_arithmetic(set_up(SPEC, given))
    assert (setup.features_precision, setup.training_precision) == (EXACT, EXACT)
    assert network_features(setup).precision == EXACT
    assert not measured


def test_what_is_open_is_measured_once_and_stands_in_the_spec(tmp_path: Path, measured: list[bool]) -> None:
    setup = set_up(SPEC, {"finetune.cache": str(tmp_path)})
    chosen = choose_arithmetic(setup)
    assert measured == [False, True]
    names = PrecisionSettings(features="float32 channels_last", training="bfloat16 channels_first")
    assert chosen.settings.precision == names
    assert choose_arithmetic(chosen).spec == chosen.spec
    assert choose_arithmetic(setup).settings.precision == names
    assert measured == [False, True]
    path = tmp_path / "again.yaml"
    path.write_text(chosen.spec.to_yaml())
    again = choose_arithmetic(set_up(path, {}))
    assert again.training_precision == Precision(autocast=True)
    assert measured == [False, True]


def test_a_probe_measures_no_training_and_no_weights_measure_no_features(
    tmp_path: Path, measured: list[bool]
) -> None:
    choose_arithmetic(set_up(SPEC, {"finetune.cache": str(tmp_path), "finetune.strategy": "linear_probe"}))
    assert measured == [False]
    choose_arithmetic(set_up(write_tiny(tmp_path), {}))
    assert measured == [False, True]


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(zoo.SpecError, match="channels_first"):
        read_recipe(SPEC, set={"finetune.precision": {"features": "float16", "training": "float32"}})
