"""What reaches the network."""

from __future__ import annotations

import torch

from finetune.checks.registry import check
from finetune.checks.result import Result, judge
from finetune.checks.subject import Subject

IMAGES = 64
FRESH = (1.0, 0.4, 2.5)
"""Largest mean, and bounds of the deviation, for weights that start at random."""
PRETRAINED = (3.0, 0.1, 5.0)
"""The same for weights that bring their own normalisation: other images may lie off it."""


@check(brief=True)
def inputs(subject: Subject) -> Result:
    """images reach the network normalised: about mean 0 and deviation 1 in each channel"""
    pixels, _ = subject.batch(IMAGES)
    channels = pixels.float().transpose(0, 1).flatten(1)
    deviation, mean = torch.std_mean(channels, dim=1)
    largest, low, high = FRESH if subject.setup.origin is None else PRETRAINED
    far, narrow, wide = float(mean.abs().amax()), float(deviation.amin()), float(deviation.amax())
    return judge(
        "inputs",
        far <= largest and low <= narrow and wide <= high,
        found=f"means to {far:.3g} from 0, deviations {narrow:.3g} to {wide:.3g}",
        expected=f"means within {largest:g} of 0, deviations {low:g} to {high:g}",
        way_out="leave input.mean and input.std out of the spec: the training images are then measured",
        numbers={"mean": far, "smallest_deviation": narrow, "largest_deviation": wide},
    )
