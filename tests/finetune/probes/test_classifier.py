"""The classifier of a run is cross-validated once: for the plan, for the fit, and for the next run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from search_kit import write_digits

import finetune.probes.classifier as classifier_module
import zoo
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.planning.evidence import measure_evidence
from finetune.probes.classifier import fit_classifier
from finetune.probes.network import feature_cache, sample_rows


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """135 digits or so to learn from, with the weights in the box."""
    images = write_digits(tmp_path_factory.mktemp("digits"), each=18)
    given = {"data.val": 0.25, "data.test": 0, "finetune.precision": "float32"}
    recipe = read_recipe("resnet_tiny", str(images), given)
    return prepare(recipe, load_data(recipe))


@pytest.fixture
def setup(prepared: Setup, tmp_path: Path) -> Setup:
    """The same with a cache of its own."""
    return replace(prepared, spec=zoo.override(prepared.spec, {"finetune.cache": str(tmp_path)}))


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images of each cross-validation from now on, one entry for each choice of stages."""
    numbers = list[int]()

    def count(name: str) -> None:
        measure = getattr(classifier_module, name)

        def counted(features: object, targets: np.ndarray, **options: object) -> object:
            numbers.append(len(targets))
            return measure(features, targets, **options)

        monkeypatch.setattr(classifier_module, name, counted)

    count("measure_stages")
    count("measure_probe")
    return numbers


@pytest.mark.parametrize("fitter", ["linear_probe", "stage_probe"])
def test_what_a_plan_measured_is_only_fitted(setup: Setup, compared: list[int], fitter: str) -> None:
    alone = fit_classifier(setup, fitter)
    assert compared == [len(setup.train)]
    for path in feature_cache(setup).home.glob("classifier-*"):
        path.unlink()
    measure_evidence(setup)
    planned = fit_classifier(setup, fitter)
    assert compared == [len(setup.train)]
    assert planned.taps == alone.taps
    assert planned.probe.chosen == alone.probe.chosen
    assert np.array_equal(planned.probe.weight, alone.probe.weight)


def test_what_depends_on_other_images_or_labels_is_measured_again(setup: Setup, compared: list[int]) -> None:
    fit_classifier(setup, "linear_probe")
    split = setup.train.split
    other = replace(split, targets=(split.targets + 1) % 10)
    fit_classifier(replace(setup, train=replace(setup.train, split=other)), "linear_probe")
    seeded = replace(setup, spec=zoo.override(setup.spec, {"finetune.seed": 5}))
    fit_classifier(seeded, "linear_probe")
    assert compared == 3 * [len(setup.train)]


def test_stages_are_compared_on_a_sample_and_the_penalty_on_all_images(
    setup: Setup, compared: list[int]
) -> None:
    setup = replace(setup, spec=zoo.override(setup.spec, {"finetune.evidence_images": 100}))
    sampled = len(sample_rows(setup, probes=True))
    fit_classifier(setup, "stage_probe")
    assert compared == [sampled, len(setup.train)]
    fit_classifier(setup, "stage_probe")
    assert compared == [sampled, len(setup.train)]


def test_a_damaged_choice_is_measured_again(setup: Setup, compared: list[int]) -> None:
    fit_classifier(setup, "stage_probe")
    (kept,) = feature_cache(setup).home.glob("classifier-*")
    kept.write_text('{"taps": []}')
    with pytest.warns(UserWarning, match="damaged"):
        fit_classifier(setup, "stage_probe")
    assert compared == 2 * [len(setup.train)]
