"""Fitting temperature, sets of classes and the limit for unknown images, after training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax  # type: ignore[import-untyped]
from torch import nn

from finetune.calibration.novelty import REFERENCE_IMAGES, find_scale, fit_distance, measure_distances
from finetune.calibration.sets import LEVEL, find_set_probability
from finetune.calibration.temperature import fit_temperature
from finetune.data.dataset import ImageDataset
from finetune.data.subset import spread_rows, subset
from finetune.experiment.setup import Setup
from finetune.features.extract import Features
from finetune.features.taps import HEAD
from finetune.fit.execute import Trained
from finetune.models.calibrated import CalibratedNet, catch_head_input, find_head
from finetune.models.novelty import Novelty
from finetune.probes.network import network_features
from finetune.records.calibration import Calibration
from finetune.records.files import read_tensors, write_tensors
from finetune.records.run_folder import RunFolder
from finetune.records.training import ProbeTraining, RefitTraining, StageProbeTraining, TrainingRecord
from finetune.tasks.evaluate import artifact_logits

LinearTraining = ProbeTraining | StageProbeTraining

KEPT = 0.95
"""Share of the validation images that count as like the training images."""


@dataclass(frozen=True)
class NetOutputs:
    """What a network gives for N images: logits (N, classes), inputs of its head (N, F), targets (N,)."""

    logits: NDArray[np.float32]
    head_inputs: NDArray[np.float32]
    targets: NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """What is known of N images that a network was not trained on: logits (N, classes), targets (N,), and the
    distances (N,) of `Novelty` without a scale."""

    logits: NDArray[np.float32]
    targets: NDArray[np.int64]
    distances: NDArray[np.float32]


def calibrate(trained: Trained, setup: Setup, folder: RunFolder, answers: Answers | None = None) -> Trained:
    """Return the trained network with calibrated answers, and what was fitted to the validation images.

    In: `answers` of cross-validation, which take the place of those for the validation images. The numbers of
    `Novelty` are written to the folder. A task without probabilities gets its network back. Images that were
    trained on in the end say nothing about probabilities: these stay as they are then.
    """
    net, training = trained.net, trained.training
    if not setup.task.probabilities:
        return trained
    novelty = fit_distance(reference_features(net, setup, training))
    val = answers or answer(net, novelty, setup, setup.val, training)
    novelty.scale = torch.tensor(find_scale(val.distances, KEPT))
    write_tensors(folder.novelty, novelty.state_dict())
    temperature, least = 1.0, None
    if not isinstance(training, RefitTraining):
        temperature = fit_temperature(val.logits, val.targets)
        least = find_set_probability(softmax(val.logits / temperature, axis=1), val.targets)
    found = Calibration(len(val.targets), temperature, least, LEVEL, KEPT)
    return Trained(CalibratedNet(net, setup.anatomy.head, temperature, novelty), training, found)


def answer(
    net: nn.Module,
    novelty: Novelty,
    setup: Setup,
    images: ImageDataset,
    training: TrainingRecord | None = None,
) -> Answers:
    """Return what the network and its score of unknown images say about images.

    In: `training` is how the network was trained, where it is the setup's own. A linear classifier then needs
    only the features in the cache, if these were computed as the exported file computes.
    """
    if isinstance(training, LinearTraining) and setup.settings.test_time is None and _is_exact(setup, net):
        found = read_probe(net, setup, training, images)
    else:
        found = read_outputs(net, setup, images)
    return Answers(found.logits, found.targets, measure_distances(novelty, found.head_inputs))


def restore_calibration(
    trained: Trained, found: Calibration | None, setup: Setup, folder: RunFolder
) -> Trained:
    """Return the network of a finished run as `calibrate` did. Raises: GraftError for a damaged file."""
    if found is None:
        return trained
    novelty = Novelty(read_tensors(folder.novelty))
    net = CalibratedNet(trained.net, setup.anatomy.head, found.temperature, novelty)
    return Trained(net, trained.training, found)


def read_outputs(net: nn.Module, setup: Setup, images: ImageDataset) -> NetOutputs:
    """Run the network on all images, as the exported file computes."""
    preprocess = setup.preprocess
    with catch_head_input(net, setup.anatomy.head, (preprocess.height, preprocess.width)) as caught:
        logits, targets, inputs = [], [], []
        for batch, truth in artifact_logits(net, preprocess, images):
            logits.append(batch)
            targets.append(truth)
            inputs.append(torch.stack(caught).mean(0))
            caught.clear()
    return NetOutputs(*(torch.cat(parts).numpy() for parts in (logits, inputs, targets)))


def read_probe(net: nn.Module, setup: Setup, training: LinearTraining, images: ImageDataset) -> NetOutputs:
    """Return what a linear classifier, fitted to features of the setup's network, gives for images."""
    inputs = _classifier_inputs(network_features(replace(setup, train=images)), training)
    with torch.inference_mode():
        logits = find_head(net, setup.anatomy.head)(torch.from_numpy(inputs))
    return NetOutputs(logits.numpy(), inputs, images.split.targets)


def reference_features(net: nn.Module, setup: Setup, training: TrainingRecord) -> NDArray[np.float32]:
    """Return the head's input for a sample of the training images, not augmented."""
    rows = np.sort(spread_rows(setup.train.split.strata, REFERENCE_IMAGES, seed=setup.settings.seed))
    if isinstance(training, LinearTraining):  # the features that it was fitted to are in the cache
        return _classifier_inputs(network_features(setup, rows), training)
    images = subset(replace(setup.train, augment=None), rows, seed=setup.settings.seed)
    return read_outputs(net, setup, images).head_inputs


def _classifier_inputs(features: Features, training: LinearTraining) -> NDArray[np.float32]:
    """Return what the linear classifier reads of the features, (N, F)."""
    taps = training.taps if isinstance(training, StageProbeTraining) else (HEAD,)
    columns = {**features.stages, HEAD: features.head_input}
    return np.concatenate([columns[name] for name in taps], axis=1)


def _is_exact(setup: Setup, net: nn.Module) -> bool:
    """Return whether features are float32 numbers of the CPU, as those of the exported file are."""
    on_cpu = all(each.device.type == "cpu" for each in net.parameters())
    return on_cpu and not setup.features_precision.autocast
