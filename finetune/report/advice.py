"""What a person might change after a run, where its numbers say so clearly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from finetune.experiment.setup import Setup
from finetune.records.calibration import Interval

MOST_TIMES = 2.0
"""Classes of which the largest has no more than this many times the images of the smallest are balanced."""
LEAST_GAP = 0.03
"""By which the balanced accuracy is below the accuracy where balancing is worth a sentence."""


def advise(setup: Setup, intervals: Mapping[str, Interval]) -> Iterator[str]:
    """Yield sentences about settings that would probably pay."""
    accuracy, balanced = intervals.get("accuracy"), intervals.get("balanced_accuracy")
    if setup.settings.balance is not None or accuracy is None or balanced is None:
        return
    counts = np.array(setup.train.class_counts(len(setup.classes)))
    if counts.max() <= MOST_TIMES * max(counts.min(), 1):
        return
    if balanced.high < accuracy.value and accuracy.value - balanced.value >= LEAST_GAP:
        yield (
            f"Classes with few images are recognised less often: {balanced.value:.1%} is the mean over the "
            f"classes, {accuracy.value:.1%} over the images. If all classes matter alike, "
            "--set finetune.balance=loss would probably pay"
        )
