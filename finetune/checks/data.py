"""Checks of the data: the network's inputs, and whether the labels fit the images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from finetune.checks.check import Result, check, judge, skip
from finetune.checks.subject import Subject
from finetune.data.subset import read_rows
from finetune.features.taps import HEAD, tap
from finetune.optim.freeze import keep_running_statistics

INPUT_IMAGES = 64
RANDOM_BOUNDS = (1.0, 0.4, 2.5)
"""The largest mean, and the bounds of the standard deviation, for weights that start at random."""
PRETRAINED_BOUNDS = (3.0, 0.1, 5.0)
"""The same for pretrained weights, whose normalisation was measured on other images."""
LABEL_IMAGES, BATCH = 800, 64
SIDE_PX = 8
"""Side of the small images that the probe gets beside the network's features."""
ERRORS = 2.0
"""Standard errors by which the probe has to beat a guess."""


@check(brief=True)
def inputs(subject: Subject) -> Result:
    """images reach the network normalised: about mean 0 and deviation 1 in each channel"""
    pixels, _ = subject.batch(INPUT_IMAGES)
    channels = pixels.float().transpose(0, 1).flatten(1)
    deviation, mean = torch.std_mean(channels, dim=1)
    largest, low, high = RANDOM_BOUNDS if subject.setup.origin is None else PRETRAINED_BOUNDS
    far, narrow, wide = float(mean.abs().amax()), float(deviation.amin()), float(deviation.amax())
    return judge(
        far <= largest and low <= narrow and wide <= high,
        found=f"means to {far:.3g} from 0, deviations {narrow:.3g} to {wide:.3g}",
        expected=f"means within {largest:g} of 0, deviations {low:g} to {high:g}",
        advice="leave input.mean and input.std out of the spec: the training images are then measured",
        numbers={"mean": far, "smallest_deviation": narrow, "largest_deviation": wide},
    )


@check()
def labels(subject: Subject) -> Result:
    """a linear probe of the untrained network's features and of the pixels beats guessing"""
    from finetune.probes.probe import measure_probe

    if not subject.setup.task.probes:
        return skip("no probe can be fitted to this task's targets")
    rows = subject.rows(LABEL_IMAGES)
    targets = subject.setup.train.split.targets[rows]
    counts = np.bincount(targets)
    guess = float(counts.max()) / len(targets)
    margin = ERRORS * float(np.sqrt(guess * (1 - guess) / len(targets)))
    if np.count_nonzero(counts) < 2 or counts.max() < 2 or margin > guess:  # noqa: PLR2004
        return skip(f"{len(targets)} training images are too few")
    seed = subject.setup.settings.seed
    measured = measure_probe(_features(subject, rows), targets, classes=subject.classes, seed=seed)
    found = measured.cv.accuracy
    return judge(
        found.value - ERRORS * found.error > guess,
        found=f"cross-validated accuracy {found} on {len(targets)} images",
        expected=f"above {guess:.3f}, the share of the largest class, by {ERRORS:g} standard errors",
        advice="look at some images of each class for labels that are shuffled or shifted by a row; if they "
        "are right, the classes are too similar to tell apart without pretrained weights",
        numbers={"accuracy": found.value, "error": found.error, "guess": guess},
    )


@torch.inference_mode()
def _features(subject: Subject, rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    """Return the head's inputs, (N, F), and the images at SIDE_PX x SIDE_PX, flattened to (N, D)."""
    net, shape, head = subject.net(), subject.setup.spec.input, subject.setup.anatomy.head
    preprocess = subject.setup.preprocess.to(subject.device)
    heads, images = [], []
    with keep_running_statistics(net), tap(net, head, (), (shape.height, shape.width)) as outputs:
        for chunk in np.split(rows, range(BATCH, len(rows), BATCH)):
            pixels, _ = read_rows(subject.setup.train, chunk)
            normalised = preprocess.normalise(pixels.to(subject.device))
            net(normalised)
            heads.append(outputs[HEAD].cpu())
            images.append(F.adaptive_avg_pool2d(normalised, SIDE_PX).flatten(1).cpu())
    return [torch.cat(heads).numpy(), torch.cat(images).numpy()]
