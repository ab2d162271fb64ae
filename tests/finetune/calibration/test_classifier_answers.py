"""A linear classifier is calibrated from cached features, as the exported file would answer."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from search_kit import write_digits

from finetune.calibration import calibrate
from finetune.calibration.calibrate import answer, read_outputs, read_probe, reference_features
from finetune.calibration.novelty import fit_distance
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.models.stage_probe import build_stage_probe
from finetune.probes.classifier import fit_classifier, fit_head
from finetune.records.training import ProbeTraining, StageProbeTraining
from zoo.errors import GraftError


@pytest.fixture(scope="module", params=["float32 channels_first", "float32 channels_last"])
def setup(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """Some digits, and the weights in the box, in each layout of the features."""
    images, cache = write_digits(tmp_path_factory.mktemp("digits"), each=12), tmp_path_factory.mktemp("cache")
    given = {"data.val": 0.25, "data.test": 0, "finetune.cache": str(cache)}
    given["finetune.precision"] = {"features": request.param, "training": request.param}
    recipe = read_recipe("resnet_tiny", str(images), given)
    return prepare(recipe, load_data(recipe))


@pytest.mark.parametrize("stages", [False, True])
def test_features_answer_as_the_network_does(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, stages: bool
) -> None:
    setup = replace(setup, net=copy.deepcopy(setup.net))
    training: ProbeTraining | StageProbeTraining
    if stages:
        fit = fit_classifier(setup, "stage_probe")
        chosen, net = fit.probe.chosen, build_stage_probe(setup.net, setup.anatomy.head, fit)
        training = StageProbeTraining(fit.taps, net.head.in_features, chosen.strength, chosen.accuracy)
    else:
        chosen, net = fit_head(setup).chosen, setup.net
        training = ProbeTraining(chosen.strength, chosen.accuracy)
    by_pixels, by_features = (
        read_outputs(net, setup, setup.val),
        read_probe(net, setup, training, setup.val),
    )
    assert np.array_equal(by_pixels.targets, by_features.targets)
    assert by_features.logits == pytest.approx(by_pixels.logits, abs=1e-3)
    assert by_features.head_inputs == pytest.approx(by_pixels.head_inputs, abs=1e-4)

    def refuse(*_: object) -> None:
        raise GraftError("the network was run on pixels")

    monkeypatch.setattr(calibrate, "read_outputs", refuse)
    novelty = fit_distance(reference_features(net, setup, training))
    assert np.array_equal(answer(net, novelty, setup, setup.val, training).logits, by_features.logits)
