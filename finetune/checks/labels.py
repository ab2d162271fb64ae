"""Whether the labels belong to the images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from finetune.checks.registry import check
from finetune.checks.result import Result, judge, skip
from finetune.checks.subject import Subject
from finetune.data.subset import read_rows
from finetune.features.taps import HEAD, tap
from finetune.optim.freeze import keep_running_statistics

IMAGES = 800
BATCH = 64
SIDE = 8
"""Pixels a side of the small pictures that stand beside the network's features."""
SURE = 2.0
"""Standard errors by which the probe has to beat the guess."""


@check()
def labels(subject: Subject) -> Result:
    """a linear probe of the untrained network's features and of the pixels beats guessing"""
    from finetune.probes.probe import fit_probe

    if not subject.setup.task.probes:
        return skip("labels", "no probe tells of this task's targets")
    rows = subject.rows(IMAGES)
    asked = subject.setup.train.split.targets[rows]
    guess = float(np.bincount(asked).max()) / len(asked)
    least = SURE * float(np.sqrt(guess * (1 - guess) / len(asked)))
    if len(np.unique(asked)) < 2 or np.bincount(asked).max() < 2 or least > guess:  # noqa: PLR2004
        return skip("labels", f"{len(asked)} training images are too few to tell")
    probe = fit_probe(
        _features(subject, rows), asked, classes=subject.classes, seed=subject.setup.settings.seed
    )
    found = probe.accuracy
    return judge(
        "labels",
        found.value - SURE * found.error > guess,
        found=f"accuracy {found} on {len(asked)} images, each left out in turn",
        expected=f"above {guess:.3f}, the share of the largest class, by {SURE:g} standard errors",
        way_out="labels shuffled or off by a row? look at some images of each class; else they are too alike "
        "to tell without pretrained weights",
        numbers={"accuracy": found.value, "error": found.error, "guess": guess},
    )


@torch.inference_mode()
def _features(subject: Subject, rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    """What the head is given, (N, F), and the images shrunk to SIDE x SIDE, (N, C * SIDE * SIDE)."""
    net, shape = subject.net(), subject.setup.spec.input
    preprocess = subject.setup.preprocess.to(subject.device)
    heads, pictures = [], []
    with (
        keep_running_statistics(net),
        tap(net, subject.setup.anatomy.head, (), (shape.height, shape.width)) as caught,
    ):
        for chunk in np.split(rows, range(BATCH, len(rows), BATCH)):
            pixels, _ = read_rows(subject.setup.train, chunk)
            inputs = preprocess.normalise(pixels.to(subject.device))
            net(inputs)
            heads.append(caught[HEAD].cpu())
            pictures.append(F.adaptive_avg_pool2d(inputs, SIDE).flatten(1).cpu())
    return [torch.cat(heads).numpy(), torch.cat(pictures).numpy()]
